"""The forecasting experiment: rolling origins, scores, baselines, files of a run, settings that it refuses."""

import contextlib
import dataclasses
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import forecasting
from experiments.baselines.autoregression import Autoregression
from experiments.common import evidence, forecasters
from experiments.common import series as common_series
from experiments.common.evaluations import Evaluation, Evaluations
from experiments.common.flags import UserError
from experiments.common.panel import Panel
from experiments.common.settings import ModelSettings
from experiments.forecasting import measurement
from experiments.forecasting.measurement import INTERVALS
from rnn_jax import models, training
from rnn_jax.applications import SeriesForecaster
from rnn_jax.applications.series_forecaster import spread
from rnn_jax.data import Transform
from rnn_jax.layers import DelayLine
from rnn_jax.models import Quantiles

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]
SEASON = 6
COLUMN = "rate [/s] a_$_b_$ [kwh]"  # markup, and a formula that cannot be typeset


def seasonal_series(points=150):
    t, rng = np.arange(points), np.random.default_rng(0)
    return 20 + 0.1 * t + 3 * np.sin(2 * np.pi * t / SEASON) + 0.3 * rng.normal(size=points)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "series.csv"
    rows = [f"2000-{i:03d},{x:.4f}" for i, x in enumerate(seasonal_series())]
    rows[40] = "2000-040,"
    path.write_text("\n".join([f"day,{COLUMN}", *rows]), encoding="utf-8")
    return str(path)


TINY = forecasting.Config(
    fill=1,
    season=SEASON,
    horizon=4,
    cells=("rnn",),
    direct=("rnn",),
    hidden_size=3,
    window=12,
    epochs=1,
    paths=5,
    seeds=2,
)


def first_of(config):
    """The only series, and the networks."""
    panel, networks = forecasting.plan(config)
    return panel.first, networks


def with_(data, **fields):
    return dataclasses.replace(TINY, data=data, **fields)


@pytest.fixture(scope="module")
def plan(data):
    return first_of(with_(data))


def trained_params(config, data, model):
    """Parameters [seeds, ...] of a trained network."""
    evaluation = Evaluation({}, lambda model, params, key: [params], lambda params: 0.0, lambda score: {}, {})
    key, evaluations = jax.random.key(0), Evaluations([evaluation], max, SeriesForecaster)
    job = forecasters._job(config, Panel([data]), "network", model, key, key, evaluations)
    return job.measure(training.Session()).test.outputs[0]


def test_nothing_is_fitted_to_the_test_set(plan, data, tmp_path):
    """Other numbers in the test set change neither transform nor autoregression nor examples."""
    series, models = plan
    lines = Path(data).read_text(encoding="utf-8").splitlines()
    cut = series.ends.validation + 1
    changed = tmp_path / "changed.csv"
    changed.write_text(
        "\n".join([*lines[:cut], *(f"2001-{i:03d},{i % 7}" for i in range(len(lines) - cut))]), encoding="utf-8"
    )
    other, _ = first_of(with_(str(changed)))
    assert other.transform == series.transform
    np.testing.assert_array_equal(other.autoregression.weights, series.autoregression.weights)
    evaluations = [measurement.evaluation(TINY, each) for each in (series, other)]
    scores = [each.score(each.baselines["persistence"]) for each in evaluations]
    assert scores[0].mae[0] / scores[0].mase[0] == pytest.approx(scores[1].mae[0] / scores[1].mase[0])
    for split in ((0, series.ends.training, 1), (*series.ends[:2], 6)):
        both = [forecasters.examples(each, models["direct rnn"], *split).steps for each in (series, other)]
        weights = [steps["weights"] for steps in both]
        np.testing.assert_array_equal(*weights)
        np.testing.assert_allclose(*(steps["inputs"] for steps in both))
        has_weight = np.asarray(weights[0])[..., None] > 0
        np.testing.assert_allclose(*(np.where(has_weight, steps["targets"], 0) for steps in both))


def test_targets_follow_inputs_and_end_with_their_split(plan):
    data, models = plan
    start, stop = data.ends[:2]
    steps = forecasters.examples(data, models["rnn"], start, stop, 6).steps
    first = start - data.window
    assert steps["inputs"].shape[1] > 1
    last = stop - 1 - data.window
    np.testing.assert_allclose(steps["inputs"][:, -1, 0], data.z[last : last + 12], rtol=1e-5)
    np.testing.assert_allclose(steps["targets"][:, -1, 0, 0], data.z[last + 1 : last + 13], rtol=1e-5)
    assert steps["weights"][:6].sum() == 0
    assert steps["weights"][6:, -1].sum() == 6
    assert last - first >= 0


def test_interpolated_points_are_no_targets(plan):
    """Row 40 is missing: with differences of a season, 40 and 46 depend on it."""
    data, models = plan
    data = dataclasses.replace(data, usable=common_series.align(Transform(lags=(6,)), data.series)[1])
    assert np.flatnonzero(~data.usable).tolist() == [*range(6), 40, 46]
    steps = forecasters.examples(data, models["rnn"], 0, data.ends.training, 1).steps
    first = data.transform.lost
    weights = {}
    for window in range(steps["weights"].shape[1]):
        for t in range(12):
            weights.setdefault(first + window + t + 1, []).append(float(steps["weights"][t, window, 0]))
    assert sum(weights[40]) == sum(weights[41]) == sum(weights[46]) == 0
    assert sum(weights[39]) > 0
    assert sum(weights[48]) > 0


def test_targets_of_direct_models_are_invertible(plan):
    """Accumulated targets, added to their base, are the series."""
    (data, _), horizon = plan, 4
    point = data.ends.validation
    sums = forecasters.accumulated(data, data.z[None, point : point + horizon])[0] * spread(data.transform, horizon)
    base = data.transform.base(data.series.values[:point], horizon)
    np.testing.assert_allclose(data.transform.inverse(sums, base), data.series.values[point : point + horizon])
    noise = np.random.default_rng(0).normal(size=(4000, horizon))
    np.testing.assert_allclose(forecasters.accumulated(data, noise).std(axis=0), 1, atol=0.05)


@pytest.mark.extended
def test_networks_are_initialised_as_the_autoregression(data):
    """After steps of no size, the forecasts of both heads are those of least squares."""
    config = with_(data, learning_rate=1e-12, transform="level-1", paths=400, taps=5)
    series, models = first_of(config)
    assert isinstance(models["rnn"].cell, DelayLine)
    origins = series.origins()
    linear = Autoregression.fit(series.x[:105], series.usable[:105], 5, np.zeros((105, 0)))
    future = origins.future(series.known, 4)
    sums = series.transform.accumulate(linear.forecast(origins.histories(series.z, 5)[:, None], future))
    expected = series.transform.inverse(sums, origins.base(series.series.values, series.transform))
    ensembles = []
    for model in models.values():
        params = trained_params(config, series, model)
        ensemble, *seeds = measurement.forecast(series, model, params, origins, jax.random.key(1), 400)
        ensembles.append(ensemble)
        assert len(seeds) == 2
    iterated, direct = ensembles
    np.testing.assert_allclose(iterated.center[0], expected[0], atol=0.12)  # 800 draws
    np.testing.assert_allclose(np.mean(iterated.center - expected, axis=1), 0, atol=0.1)
    assert np.all((direct.lower[0] < direct.center) & (direct.center < direct.upper[0]))
    np.testing.assert_allclose(direct.center[0], expected[0], atol=0.35)  # its median, not the mean


@pytest.mark.extended
def test_ensembles_pool_the_paths(plan):
    data, models = plan
    params = trained_params(TINY, data, models["rnn"])
    ensemble, *seeds = measurement.forecast(data, models["rnn"], params, data.origins(), jax.random.key(1), 6)
    np.testing.assert_allclose(ensemble.center, np.mean([seed.center for seed in seeds], axis=0), rtol=1e-6)
    assert np.all(ensemble.upper[1] >= np.minimum(*(seed.upper[1] for seed in seeds)) - 1e-9)
    assert not np.allclose(seeds[0].center, seeds[1].center)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        forecasting.run(with_(data), str(folder), ModelSettings(save_model=True))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"], printed.getvalue()


@pytest.mark.extended
def test_a_hostile_name_of_a_column_is_printed_as_it_is(finished):
    _, records, printed = finished
    assert {record["column"] for record in records} == {COLUMN}
    assert f"{COLUMN} of " in printed


@pytest.mark.extended
@pytest.mark.parametrize(("index", "name"), [(0, "rnn"), (1, "direct rnn")])
def test_the_saved_model_is_the_trained_one(index, name, finished, data, plan):
    folder, records, _ = finished
    loaded = models.load(folder / "models" / name.replace(" ", "-"))
    record = next(r for r in records if (r["run"], r["seed"]) == (name, loaded.notes["seed"]))
    series, _ = plan
    params = jax.tree.map(lambda leaf: leaf[None], loaded.params)
    keys = jax.random.split(jax.random.split(jax.random.key(TINY.seed), 2)[index])
    origins = series.origins()
    _, again = measurement.forecast(series, loaded.model, params, origins, keys[1], TINY.paths)
    evaluation = measurement.evaluation(with_(data), series)
    assert {key: record[key] for key in evaluation.flat(evaluation.score(again))} == pytest.approx(
        evaluation.flat(evaluation.score(again)), abs=0, rel=0, nan_ok=True
    )
    read = loaded.definition.read(data)
    ahead = loaded.predict(read)
    assert ahead.center.shape == (4,)
    assert ahead.lower.shape == (2, 4)
    if name == "direct rnn":  # nothing is drawn: the forecast after the first origin's points is that of the run
        first = loaded.predict(read.values[: origins.points[0] + 1])
        np.testing.assert_allclose(first.center, again.center[:, 0], rtol=1e-6)
    lines = loaded.definition.lines(read, ahead)
    assert lines[0] == "step\tforecast\tlower 80%\tupper 80%\tlower 95%\tupper 95%"
    assert len(lines) == 5
    with pytest.raises(ValueError, match=r"a series must be finite numbers \[N\], N at least 1[0-9], got shape \[3\]"):
        loaded.predict(read.values[:3])


@pytest.mark.extended
def test_writes_its_files(finished):
    folder, _, _ = finished
    names = {"config.json", "results.json", "arrays.npz", "forecasts.png", "errors.png", "coverage.png", "summary.html"}
    assert {p.name for p in folder.iterdir() if p.is_file()} == names
    page = (folder / "summary.html").read_text(encoding="utf-8")
    assert "MAE of each network, pooled over its seeds, against the autoregression" in page
    assert "Networks with a lower MAE at every step than persistence" in page


@pytest.mark.extended
def test_margins_over_the_autoregression_have_intervals(finished):
    folder, records, _ = finished
    by_run = {record["run"]: record for record in records}  # of a network with seeds: its ensemble, or its last seed
    linear = by_run["autoregression"]
    assert linear["test/mae_margin/last_step"] == 0
    page = (folder / "summary.html").read_text(encoding="utf-8")
    assert "MAE less the autoregression" in page
    for record in by_run.values():
        for step in ("first_step", "last_step"):
            margin, low, high = (record[f"test/mae_{name}/{step}"] for name in ("margin", "margin_low", "margin_high"))
            assert margin == pytest.approx(record[f"test/mae/{step}"] - linear[f"test/mae/{step}"])
            assert low <= margin <= high
    assert f"{by_run['persistence']['test/mae_margin/first_step']:+.3g} (" in page


@pytest.mark.extended
def test_the_doctor_tells_networks_from_baselines(finished):
    runs = evidence.read(str(finished[0]))
    assert [name for name, seeds in runs.items() if seeds[0].has_measurements] == ["rnn", "direct rnn"]


@pytest.mark.extended
def test_records_agree_with_arrays(finished):
    folder, records, _ = finished
    baselines = [(name, 0) for name in ("persistence", "seasonal naive", "autoregression")]
    networks = [[(name, 0), (name, 1), (f"{name}, ensemble", 0)] for name in ("rnn", "direct rnn")]
    assert [(r["run"], r["seed"]) for r in records] == [*baselines, *networks[0], *networks[1]]
    arrays = np.load(folder / "arrays.npz")
    assert [records[0][f"{p}/points"] for p in ("training", "validation", "test")] == [105, 23, 22]
    assert records[0]["filled"] == 1
    for record in [*records[:3], records[5], records[8]]:
        name = record["run"].removesuffix(", ensemble")
        errors = np.where(arrays["scored"], arrays[f"{name}/center"] - arrays["actual"], np.nan)
        mae, rmse = np.nanmean(np.abs(errors), axis=1), np.sqrt(np.nanmean(errors**2, axis=1))
        assert record["test/mae/first_step"] == pytest.approx(mae[0])
        assert record["test/mae/mean"] == pytest.approx(mae.mean())
        assert record["test/rmse/last_step"] == pytest.approx(rmse[-1])
        if f"{name}/lower" in arrays:
            inside = (arrays[f"{name}/lower"][1] <= arrays["actual"]) & (arrays["actual"] <= arrays[f"{name}/upper"][1])
            share = np.sum(inside[0] & arrays["scored"][0]) / arrays["scored"][0].sum()
            assert record["test/coverage_95/first_step"] == pytest.approx(share)
    assert records[2]["order"] >= 1
    assert records[-1]["parameters"] > 0
    assert len(INTERVALS) == 2
    assert arrays["rnn/training/loss"].shape[0] == arrays["rnn/validation/loss"].shape[0] == 2


@pytest.mark.extended
def test_one_seed_has_no_ensemble_and_may_diverge(data, tmp_path):
    """A network whose only seed diverges is tested and reported like any other."""
    forecasting.run(with_(data, seeds=1, direct=(), learning_rate=1e30), str(tmp_path))
    *baselines, record = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    assert len(baselines) == 3
    assert (record["run"], record["seed"], record["diverged"]) == ("rnn", 0, True)
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert '<td style="text-align:left">  ensemble</td>' not in page
    assert "rnn: seed 0 diverged at step 2" in page


def test_baselines_and_the_default_rate_for_a_file(plan):
    data, models = plan
    buckets = [forecasters.examples(data, models["rnn"], 0, data.ends.training, 1)]
    assert with_("x.csv").trainer(models["rnn"], buckets).optimizer.optimizer.learning_rate == 0.001
    evaluation = measurement.evaluation(TINY, data)
    assert list(evaluation.baselines) == ["persistence", "seasonal naive", "autoregression"]
    _, naive, linear = (evaluation.score(each) for each in evaluation.baselines.values())
    assert linear.mae[0] < naive.mae[0]


def test_the_default_series_needs_no_flags():
    data, models = first_of(dataclasses.replace(forecasting.QUICK, direct=("gru",)))
    assert data.source == "Mackey-Glass, tau 17"
    assert (data.ends, data.horizon) == ((2100, 2550, 3000), 14)
    buckets = [forecasters.examples(data, models["gru"], 0, 200, 100)]
    assert forecasting.QUICK.trainer(models["gru"], buckets).optimizer.optimizer.learning_rate == 0.005
    assert isinstance(models["direct gru"].head, Quantiles)


BAD = [
    ({"data": "nowhere.csv"}, "--data: nowhere.csv: cannot be read: No such file or directory"),
    ({"fill": 0}, f"line 42: {COLUMN!r} is missing in 1 row; gaps of up to 0 rows are filled"),
    ({"fill": 0}, "--fill=N fills gaps of up to N rows"),
    ({"target": "y"}, f"must have one column called 'y', got 0; its columns are 'day', {COLUMN!r}"),
    ({"split": ("70", "30")}, "shares must be 3 numbers"),
    ({"split": ("70", "15", "x")}, "--split must be three numbers, got '70,15,x'"),
    ({"horizon": 30}, "too short: --horizon=30 needs as many points in its validation set, which has 23"),
    ({"window": 120}, "too short: its training set has 105 points, and windows of 120"),
    ({"season": 110, "horizon": 2}, "--season=110 must be shorter than the training set, 105 points"),
    ({"transform": "cube"}, "--transform must be auto, or level, log, root with lags of differences"),
    ({"transform": "log-0"}, "--transform must be auto, or level, log, root with lags of differences"),
    ({"cells": (), "direct": ()}, "--cells and --direct must name at least one network"),
    ({"cells": ("lstmm",)}, "unknown cell 'lstmm': known are rnn, irnn"),
    ({"seeds": 0}, "--seeds must be positive, got 0"),
    ({"season": 0}, "--season must be positive, got 0"),
    ({"taps": 9}, "--taps must be at most half of the window of 12, and 1 more, got 9"),
    ({"learning_rate": float("nan")}, "--learning_rate must be a positive number, got nan"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        forecasting.run(with_(**{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_column_without_file_and_log_of_zero_are_refused(tmp_path):
    for field, value in (("target", "x"), ("delimiter", "tab"), ("decimal", "comma")):
        with pytest.raises(UserError, match=f"--{field}={value} needs a file"):
            forecasting.plan(dataclasses.replace(TINY, **{field: value}))
    path = tmp_path / "zero.csv"
    path.write_text("\n".join(f"{i % 7}" for i in range(200)), encoding="utf-8")
    with pytest.raises(UserError, match="--transform=log: log cannot take its least value, 0"):
        forecasting.plan(with_(str(path), transform="log"))
    assert first_of(with_(str(path)))[0].transform.scale.name != "log"
    path.write_text("\n".join("5" for _ in range(200)), encoding="utf-8")
    with pytest.raises(UserError, match="the training set cannot be standardised"):
        forecasting.plan(with_(str(path)))


def test_the_layout_of_the_file_is_chosen_by_flags_and_reported(tmp_path):
    path = tmp_path / "commas.csv"
    path.write_text("\n".join(f"{x:.4f}".replace(".", ",") for x in seasonal_series()), encoding="utf-8")
    with pytest.raises(UserError, match=r"can be read as .*; as flags --delimiter, --decimal"):
        forecasting.plan(with_(str(path)))
    data, _ = first_of(with_(str(path), decimal="comma"))
    assert (data.record()["delimiter"], data.record()["decimal"]) == (None, "comma")
    assert "Read as one column, with decimal commas." in forecasting.summary.caption(Panel([data]))
    with pytest.raises(UserError, match="--decimal must be one of point, comma, got ';'"):
        forecasting.plan(with_(str(path), decimal=";"))


@pytest.mark.extended
def test_bad_file_ends_the_program_without_a_traceback(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("day,x\na,1\nb,two\nc,3\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.forecasting", f"--data={path}", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: --data: {path}, line 3: 'x' must be a finite number, got 'two'"
