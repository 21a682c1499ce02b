"""Several series of one file (`--group`): reading, joint choices, one network, scores of each series, saved models."""

import contextlib
import dataclasses
import io
import json

import jax
import numpy as np
import pytest

from experiments import anomaly, forecasting
from experiments.common import forecasters
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from rnn_jax import models
from rnn_jax.data import read_series, read_series_by

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTHS = {"A": 150, "B": 120, "C": 8}  # C is too short
TINY = forecasting.Config(
    group=("store",),
    season=6,
    horizon=3,
    cells=("rnn",),
    direct=(),
    hidden_size=3,
    window=12,
    taps=3,
    epochs=1,
    paths=5,
    seeds=2,
)


def sales(name, count, seed=0):
    """Rows (date, store, sales) of a store; B sells a hundred times as much as A and opens a month later."""
    rng, t, scale = np.random.default_rng([seed, ord(name[0])]), np.arange(count), 100 if name == "B" else 1
    values = scale * (20 + 3 * np.sin(2 * np.pi * t / 6) + 0.5 * rng.normal(size=count))
    days = np.datetime64("2024-02-01" if name == "B" else "2024-01-01") + t
    return [f"{day},{name},{value:.4f}" for day, value in zip(days, values, strict=True)]


def write(path, series, change=None):
    """Writes rows in the order of dates, so that those of the series alternate."""
    rows = sorted(row for each in series.values() for row in each)
    path.write_text("\n".join(["date,store,sales", *rows]), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def stores():
    return {name: sales(name, count) for name, count in LENGTHS.items()}


@pytest.fixture(scope="module")
def data(stores, tmp_path_factory):
    return write(tmp_path_factory.mktemp("data") / "sales.csv", stores)


@pytest.fixture(scope="module")
def plan(data):
    return forecasting.plan(dataclasses.replace(TINY, data=data))


def alone(stores, name, path):
    """A file of one store, as without --group."""
    rows = [row.replace(f",{name},", ",") for row in stores[name]]
    path.write_text("\n".join(["date,sales", *rows]), encoding="utf-8")
    return str(path)


def test_interleaved_rows_are_the_series_that_a_file_of_each_holds(stores, data, tmp_path):
    read = read_series_by(data, ["store"])
    assert list(read) == ["A", "C", "B"]  # by first row
    for name, series in read.items():
        expected = read_series(alone(stores, name, tmp_path / "one.csv"))
        for field in ("values", "times", "observed"):
            np.testing.assert_array_equal(getattr(series, field), getattr(expected, field))
        assert (series.labels, series.step) == (expected.labels, expected.step)


def test_several_columns_name_a_series_and_numbers_may_name_one(tmp_path):
    path = tmp_path / "s.csv"
    path.write_text("day,value,store,item\n2024-01-01,5,1,7\n2024-01-01,6,1,8\n2024-01-02,5.5,1,7\n", encoding="utf-8")
    read = read_series_by(path, ("store", "item"))
    assert {name: series.values.tolist() for name, series in read.items()} == {"1, 7": [5.0, 5.5], "1, 8": [6.0]}
    assert read["1, 7"].name == "value"


def test_the_first_lines_state_columns_series_and_lengths(plan, data):
    panel, _ = plan
    first, series, left = panel.lines
    assert first == (f"{data}: 3 series named by 'store', 2 of them used, of 120 to 150 rows (median 135), 270 in all")
    assert series.startswith("Series 'A' (UTF-8, delimiter comma, decimal point): column 'sales', 2024-01-01 to")
    assert left.startswith("Left out: 'C': ")


def test_each_series_has_its_scale_split_and_autoregression(plan):
    panel, _ = plan
    a, b = panel.each
    assert (a.name, b.name) == ("A", "B")
    assert (a.ends, b.ends) == ((105, 128, 150), (84, 102, 120))
    assert (a.transform.scale, a.transform.lags) == (b.transform.scale, b.transform.lags)
    for each in (a, b):
        training = each.z[each.transform.lost : each.ends.training]
        assert (training.mean(), training.std()) == pytest.approx((0, 1), abs=1e-9)
    assert a.window == b.window == 12


def test_windows_of_all_series_are_trained_on_and_none_spans_two(plan):
    panel, networks = plan
    model = networks["rnn"]
    each = [forecasters.examples(data, model, 0, data.ends.training, 1).steps for data in panel.each]
    both = forecasters.all_examples(panel, model, "training", 12).steps
    for name, steps in both.items():
        np.testing.assert_array_equal(steps, np.concatenate([one[name] for one in each], axis=1))


def run(experiment, config, folder, settings=None):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        experiment.run(config, str(folder), settings or ModelSettings())
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"], printed.getvalue()


@pytest.mark.extended
def test_one_series_that_is_left_gives_what_its_file_gives(stores, tmp_path):
    """A is used and C left out: the same numbers as from a file of A."""
    two = write(tmp_path / "two.csv", {name: stores[name] for name in "AC"})
    one = alone(stores, "A", tmp_path / "one.csv")
    grouped, _ = run(forecasting, dataclasses.replace(TINY, data=two, direct=("rnn",)), tmp_path / "two")
    single, _ = run(forecasting, dataclasses.replace(TINY, data=one, group=(), direct=("rnn",)), tmp_path / "one")
    of_a = {(r["run"], r["seed"]): r for r in grouped if r["series"] == "A"}
    pooled = {(r["run"], r["seed"]): r for r in grouped if r["series"] is None}
    assert len(of_a) == len(pooled) == len(single)
    for record in single:
        scores = {key: value for key, value in record.items() if key.startswith("test/")}
        assert "series" not in record
        for other in (pooled[record["run"], record["seed"]], of_a[f"{record['run']}, A", record["seed"]]):
            assert {key: other[key] for key in scores} == scores


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, *run(forecasting, dataclasses.replace(TINY, data=data), folder, ModelSettings(save_model=True))


@pytest.mark.extended
def test_pooled_scores_are_means_over_the_series(finished):
    _, records, printed = finished
    for name in ("persistence", "autoregression", "rnn", "rnn, ensemble"):
        pooled = next(r for r in records if r["run"] == name)
        each = [next(r for r in records if r["run"] == f"{name}, {series}") for series in "AB"]
        assert (pooled["series"], [r["series"] for r in each]) == (None, ["A", "B"])
        for key in ("test/mase/mean", "test/mae/first_step", "test/coverage_80/mean"):
            mean = np.mean([float(r[key]) for r in each])  # float: NaN is a string in JSON
            assert float(pooled[key]) == pytest.approx(mean, nan_ok=True)
        # A hundred times the sales, but the MASE is that of a series of any scale.
        assert each[1]["test/mae/first_step"] > 10 * each[0]["test/mae/first_step"]
        assert each[1]["test/mase/mean"] < 3 * each[0]["test/mase/mean"]
    assert "MASE by series" in printed
    assert "MASE less the autoregression's" in printed


@pytest.mark.extended
def test_the_saved_model_keeps_scales_and_forecasts_a_store_that_is_new(finished, stores, data, tmp_path):
    folder, *_ = finished
    loaded = models.load(folder / "models" / "rnn")
    assert [scale.name for scale in loaded.definition.scales] == ["A", "B"]
    new = {name: stores[name] for name in "AB"} | {"N": sales("N", 60)}
    read = loaded.definition.read(write(tmp_path / "new.csv", new))
    answers = loaded.predict(read)
    assert list(answers) == ["A", "N", "B"]
    assert 1000 < answers["B"].center[0] < 3000
    assert 5 < answers["N"].center[0] < 35
    shorter = read["A"]._replace(
        **{field: getattr(read["A"], field)[-60:] for field in ("labels", "values", "observed", "times")}
    )
    again = loaded.predict({"A": shorter})["A"]  # the scale is that of the training, whatever is read
    np.testing.assert_array_equal(again.center, answers["A"].center)
    lines = loaded.definition.lines(read, answers)
    assert lines[0].startswith("series\tstep\tforecast")
    assert [line.split("\t")[0] for line in lines[1:]] == ["A"] * 3 + ["N"] * 3 + ["B"] * 3
    with pytest.raises(ValueError, match="series 'C': a series must be finite numbers"):
        loaded.predict(read_series_by(data, ["store"]))


@pytest.mark.extended
def test_anomalies_are_detected_in_each_series(data, tmp_path):
    config = anomaly.Config(
        data=data,
        group=("store",),
        split=("70", "15", "15"),
        season=6,
        length=3,
        copies=6,
        cells=("rnn",),
        hidden_size=3,
        window=12,
        taps=2,
        epochs=1,
        seeds=1,
        grace=3,
    )
    records, printed = run(anomaly, config, tmp_path / "run", ModelSettings(save_model=True))
    by_run = {r["run"]: r for r in records}
    assert by_run["rnn"]["series"] is None
    aucs = [by_run[f"rnn, {name}"]["test/all/event_auc"] for name in "AB"]
    assert by_run["rnn"]["test/all/event_auc"] == pytest.approx(np.mean(aucs))
    assert "AUC by event, by series" in printed
    loaded = models.load(tmp_path / "run" / "models" / "rnn")
    thresholds = [by_run[f"rnn, {name}"]["threshold"] for name in "AB"]
    assert list(loaded.definition.thresholds) == thresholds
    read = {name: each for name, each in loaded.definition.read(data).items() if name != "C"}
    answers = loaded.predict(read)
    for name, threshold in zip("AB", thresholds, strict=True):
        np.testing.assert_array_equal(answers[name].alarms, answers[name].scores > threshold)


def test_a_longest_series_changes_no_scores_of_a_shorter_one(plan, data):
    """Shorter series are filled up for one program; what is filled up is cut off."""
    panel, networks = plan
    b, model = panel.each[1], networks["rnn"]
    params = jax.tree.map(lambda leaf: leaf[None], model.init(jax.random.key(0)))
    given = b, model, params, b.origins(), jax.random.key(1), 5
    exact, filled = (forecasting.measurement.forecast(*given, longest) for longest in (0, 40))
    assert exact[0].lower.shape == filled[0].lower.shape == (2, 3, 18)
    np.testing.assert_allclose(exact[0].center[0], filled[0].center[0], rtol=0.3)  # other draws


BAD = [
    ({"group": ("shop",)}, "must have one column called 'shop', got 0; its columns are 'date', 'store', 'sales'"),
    ({"group": ("sales",), "target": "sales"}, "column, covariates and group must be different columns"),
    ({"group": ("store", "store")}, "must be different columns, got sales, store, store"),
    ({"data": None}, "--group=store needs a file: --data=FILE"),
    ({"window": 110}, "no series of --group=store can be used: "),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_groups_are_refused(fields, message, data):
    with pytest.raises(UserError, match=message):
        forecasting.plan(dataclasses.replace(TINY, **{"data": data, **fields}))


def rows_of(stores, name, change):
    return {**stores, name: change(list(stores[name]))}


def dropped(rows):
    del rows[40]
    return rows


def missing(rows):
    rows[40] = rows[40].rpartition(",")[0] + ",NaN"
    return rows


FILES = [
    (dropped, r"1 row between 'date' '2024-03-11' and '2024-03-13' missing, .*\(series 'B'\); --fill=N fills"),
    (missing, r"line \d+: 'sales' is missing in 1 row; gaps .* \(series 'B'\); --fill=N fills"),
    (lambda rows: [*rows, rows[-1]], r"line \d+: 'date' '.*' is there twice; keep one row a date \(series 'B'\)"),
    (
        lambda rows: [row.replace(",B,", ",,") for row in rows],
        r"line \d+: 'store' must name a series, got an empty cell",
    ),
]


@pytest.mark.parametrize(("change", "message"), FILES)
def test_bad_rows_are_refused_with_series_file_and_line(change, message, stores, tmp_path):
    path = write(tmp_path / "bad.csv", rows_of(stores, "B", change))
    with pytest.raises(UserError, match=f"--data: {path}, {message}" if "line" in message else message):
        forecasting.plan(dataclasses.replace(TINY, data=path))


def test_a_column_with_one_value_is_refused(stores, tmp_path):
    path = write(tmp_path / "one.csv", {"A": stores["A"]})
    with pytest.raises(UserError, match="--group=store must name several series, got 'A' in every row"):
        forecasting.plan(dataclasses.replace(TINY, data=path))


def test_series_at_different_steps_are_refused(stores, tmp_path):
    hourly = [f"2024-01-0{1 + i // 24} {i % 24:02d}:00,H,{20 + i % 6 + i % 5}" for i in range(150)]
    path = write(tmp_path / "steps.csv", {"A": stores["A"], "H": hourly})
    with pytest.raises(UserError, match="must have dates at the same steps, got 1 hour in 'H', 1 day in 'A'"):
        forecasting.plan(dataclasses.replace(TINY, data=path))


def test_covariates_and_calendar_are_each_series_own(stores, tmp_path):
    rng, rows = np.random.default_rng(0), []
    for name in "AB":
        rows += [row.replace(",", f",{10 * (name == 'B') + rng.normal():.3f},", 1) for row in stores[name]]
    path = tmp_path / "s.csv"
    path.write_text("\n".join(["date,price,store,sales", *rows]), encoding="utf-8")
    config = dataclasses.replace(TINY, data=str(path), covariates=("price",), calendar=True, transform="level")
    panel, networks = forecasting.plan(config)
    means = [data.columns.transforms[0].mean for data in panel.each]
    assert means == pytest.approx([0, 10], abs=0.5)
    assert [data.columns.cycles for data in panel.each] == [("weekday",)] * 2
    assert [data.inputs.shape[1] for data in panel.each] == [4, 4]
    kernel, _ = forecasters._regression(panel, networks["rnn"], networks["rnn"].cell)
    assert np.isfinite(kernel).all()
