"""The forecasting experiment: rolling origins, scores, opponents, what a run writes, what it refuses."""

import dataclasses
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiments import forecasting
from experiments.common.flags import UserError
from experiments.forecasting import baselines, fitting, measurement
from experiments.forecasting import config as configs
from experiments.forecasting.rolling import INTERVALS, Origins, Predicted, scores, seasonal_unit
from rnn_jax import training
from rnn_jax.data import Transform
from rnn_jax.layers import DelayLine
from rnn_jax.models import Quantiles

pytestmark = pytest.mark.usefixtures("unoptimized", "one_thread")

ROOT = Path(__file__).parents[1]
SEASON = 6


def series(points=150):
    t, rng = np.arange(points), np.random.default_rng(0)
    return 20 + 0.1 * t + 3 * np.sin(2 * np.pi * t / SEASON) + 0.3 * rng.normal(size=points)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "series.csv"
    rows = [f"2000-{i:03d},{x:.4f}" for i, x in enumerate(series())]
    rows[40] = "2000-040,"
    path.write_text("\n".join(["day,x", *rows]), encoding="utf-8")
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


def with_(data, **fields):
    return dataclasses.replace(TINY, data=data, **fields)


@pytest.fixture(scope="module")
def plan(data):
    return configs.plan(with_(data))


def test_origins_and_scores_by_hand():
    values = np.array([0.0, 1, 2, 4, 8, 16, 32])
    observed = np.array([True] * 5 + [False, True])
    origins = Origins.of(values, observed, 4, 7, 2)
    assert origins.places.tolist() == [3, 4, 5]
    # 5 is not observed: not scored, and nothing is forecast from there; 7 is past the end.
    assert origins.scored.tolist() == [[True, False, False], [False, True, False]]
    np.testing.assert_array_equal(origins.histories(values, 2), [[2, 4, 8], [4, 8, 16]])
    predicted = Predicted(
        np.array([[9.0, 0, 0], [0, 30, 0]]), np.array([[[8.5] * 3, [0] * 3]] * 2), np.array([[[9.5] * 3, [31] * 3]] * 2)
    )
    got = scores(predicted, origins, 4.0)
    np.testing.assert_allclose(got.mae, [1, 2])
    np.testing.assert_allclose(got.rmse, [1, 2])
    np.testing.assert_allclose(got.mase, [0.25, 0.5])
    np.testing.assert_allclose(got.coverage, [[0, 0]] * 2)
    np.testing.assert_allclose(got.width, [[1, 31]] * 2)
    both = Origins.of(values, np.ones(7, bool), 4, 7, 1)
    got = scores(Predicted(np.array([[8.0, 13, 36]])), both, 1.0)
    assert got.mae[0] == pytest.approx(7 / 3)
    assert got.rmse[0] == pytest.approx(math.sqrt(25 / 3))
    assert np.isnan(got.coverage).all()


def test_the_unit_of_mase_leaves_gaps_out():
    values, observed = np.array([0.0, 1, 5, 100, 9]), np.array([True, True, True, False, True])
    assert seasonal_unit(values, observed, 2) == pytest.approx((5 + 4) / 2)


def test_naive_forecasts():
    values = np.arange(10.0) ** 2
    origins = Origins.of(values, np.ones(10, bool), 6, 10, 4)
    np.testing.assert_array_equal(baselines.persistence(values, origins).center[:, 0], [25] * 4)
    np.testing.assert_array_equal(baselines.seasonal(values, origins, 3).center[:, 0], [9, 16, 25, 9])


def test_an_autoregression_finds_the_process_and_is_iterated():
    rng, values = np.random.default_rng(0), np.zeros(3000)
    for t in range(2, 3000):
        values[t] = 1 + 0.5 * values[t - 1] - 0.3 * values[t - 2] + 0.2 * rng.normal()
    model = baselines.Autoregression.fit(Transform(), values, np.ones(3000, bool), 2)
    np.testing.assert_allclose([*model.weights, model.constant, model.deviation], [0.5, -0.3, 1, 0.2], atol=0.06)
    origins = Origins.of(values, np.ones(3000, bool), 2990, 3000, 3)
    predicted = model.predict(values, values, origins, np.random.default_rng(1), 4000)
    one = model.constant + model.weights @ values[[2989, 2988]]
    two = model.constant + model.weights @ [one, values[2989]]
    np.testing.assert_allclose(predicted.center[:2, 0], [one, two])
    np.testing.assert_allclose(model.one_step(values)[2990], one)
    half = 1.2816 * model.deviation
    np.testing.assert_allclose(
        [predicted.lower[0, 0, 0], predicted.upper[0, 0, 0]], [one - half, one + half], atol=0.03
    )
    assert np.all(predicted.upper[:, 1] - predicted.lower[:, 1] > predicted.upper[:, 0] - predicted.lower[:, 0])


def test_what_stands_in_a_gap_is_not_fitted_to():
    values = np.tile([1.0, -1.0], 30)
    usable = np.ones(60, bool)
    spoilt = values.copy()
    spoilt[20], usable[20] = 99.0, False
    got = baselines.Autoregression.fit(Transform(), spoilt, usable, 2)
    assert got.deviation < 1e-6
    with pytest.raises(ValueError, match="order 2 needs at least 6 points"):
        baselines.Autoregression.fit(Transform(), values[:7], usable[:7], 2)


def test_nothing_behind_the_training_part_is_fitted_to(plan, data, tmp_path):
    """Other numbers in the test part change neither transform nor autoregression nor examples."""
    lines = Path(data).read_text().splitlines()
    cut = plan.data.parts.validation + 1
    other = tmp_path / "other.csv"
    other.write_text("\n".join([*lines[:cut], *(f"2001-{i:03d},{i % 7}" for i in range(len(lines) - cut))]))
    again = configs.plan(with_(str(other)))
    assert again.data.transform == plan.data.transform
    np.testing.assert_array_equal(again.data.autoregression.weights, plan.data.autoregression.weights)
    assert again.data.unit == plan.data.unit
    for part in ((0, plan.data.parts.training, 1), (*plan.data.parts[:2], 6)):
        model = plan.models["direct rnn"]
        both = [fitting.examples(d, model, *part) for d in (plan.data, again.data)]
        weights = [each.steps["weights"] for each in both]
        np.testing.assert_array_equal(*weights)
        for name in ("inputs", "targets"):
            mine, other_ = (np.asarray(each.steps[name]) for each in both)
            seen = np.asarray(weights[0])[..., None] > 0
            if name == "targets":
                np.testing.assert_allclose(np.where(seen, mine, 0), np.where(seen, other_, 0))
            else:
                np.testing.assert_allclose(mine, other_)


def test_targets_are_what_comes_and_end_with_their_part(plan):
    model, z = plan.models["rnn"], plan.data.z
    start, stop = plan.data.parts[:2]
    steps = fitting.examples(plan.data, model, start, stop, 6).steps
    first = start - plan.data.window
    windows = steps["inputs"].shape[1]
    assert windows > 1
    last = stop - 1 - plan.data.window
    np.testing.assert_allclose(steps["inputs"][:, -1, 0], z[last : last + 12], rtol=1e-5)
    np.testing.assert_allclose(steps["targets"][:, -1, 0, 0], z[last + 1 : last + 13], rtol=1e-5)
    assert steps["weights"][:6].sum() == 0
    assert steps["weights"][6:, -1].sum() == 6
    assert last - first >= 0


def test_what_was_filled_in_a_gap_is_no_target(plan):
    """Row 40 is missing: with differences of a season, 40 and 46 are made of it."""
    data = dataclasses.replace(plan.data, usable=configs._aligned(Transform(lags=(6,)), *plan.data.series[2:])[1])
    assert np.flatnonzero(~data.usable).tolist() == [*range(6), 40, 46]
    steps = fitting.examples(data, plan.models["rnn"], 0, data.parts.training, 1).steps
    first = data.transform.lost
    weights = {}
    for window in range(steps["weights"].shape[1]):
        for t in range(12):
            weights.setdefault(first + window + t + 1, []).append(float(steps["weights"][t, window, 0]))
    assert sum(weights[40]) == sum(weights[41]) == sum(weights[46]) == 0
    assert sum(weights[39]) > 0
    assert sum(weights[48]) > 0


def test_what_a_direct_model_forecasts_is_undone(plan):
    """Accumulated targets, put back on their base, are the series."""
    data, horizon = plan.data, 4
    place = data.parts.validation
    sums = fitting.accumulated(data, data.z[None, place : place + horizon])[0] * fitting.spread(data, horizon)
    base = data.transform.base(data.series.values[:place], horizon)
    np.testing.assert_allclose(data.transform.inverse(sums, base), data.series.values[place : place + horizon])
    noise = np.random.default_rng(0).normal(size=(4000, horizon))
    np.testing.assert_allclose(fitting.accumulated(data, noise).std(axis=0), 1, atol=0.05)


def test_a_network_begins_as_the_autoregression(data, monkeypatch):
    """Trained by steps of size nothing, its forecasts are those of least squares, of either head."""
    config = with_(data, learning_rate=1e-12, transform="level-1", paths=400, taps=5)
    ready = configs.plan(config)
    model = ready.models["rnn"]
    assert isinstance(model.cell, DelayLine)
    origins = ready.data.origins("test")
    linear = baselines.Autoregression.fit(ready.data.transform, ready.data.z[:105], ready.data.usable[:105], 5).predict(
        ready.data.series.values, ready.data.z, origins, None
    )
    found = {}
    for name, each in ready.models.items():
        fit = fitting.fit(ready.data, config, each, jax.random.split(jax.random.key(0), 2), training.Session())
        found[name] = fitting.forecast(ready.data, each, fit.params, origins, jax.random.key(1), 400)
    iterated, direct = found["rnn"].ensemble, found["direct rnn"].ensemble
    np.testing.assert_allclose(iterated.center[0], linear.center[0], atol=0.12)  # 800 draws
    np.testing.assert_allclose(np.mean(iterated.center - linear.center, axis=1), 0, atol=0.1)
    assert np.all((direct.lower[0] < direct.center) & (direct.center < direct.upper[0]))
    np.testing.assert_allclose(direct.center[0], linear.center[0], atol=0.35)  # its median, not the mean
    assert len(found["rnn"].seeds) == 2


def test_the_ensemble_pools_the_paths(plan):
    fit = fitting.fit(plan.data, TINY, plan.models["rnn"], jax.random.split(jax.random.key(0), 2), training.Session())
    got = fitting.forecast(plan.data, plan.models["rnn"], fit.params, plan.data.origins("test"), jax.random.key(1), 6)
    np.testing.assert_allclose(got.ensemble.center, np.mean([s.center for s in got.seeds], axis=0), rtol=1e-6)
    assert np.all(got.ensemble.upper[1] >= np.minimum(*(s.upper[1] for s in got.seeds)) - 1e-9)
    assert not np.allclose(got.seeds[0].center, got.seeds[1].center)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    forecasting.run(with_(data), str(folder))
    return folder, json.loads((folder / "results.json").read_text())["results"]


def test_writes_its_files(finished):
    folder, _ = finished
    names = {"config.json", "results.json", "arrays.npz", "forecasts.png", "errors.png", "coverage.png", "summary.html"}
    assert {p.name for p in folder.iterdir() if p.is_file()} == names
    page = (folder / "summary.html").read_text()
    assert "than the autoregression" in page
    assert "is beaten at every step by" in page


def test_the_records_are_those_of_the_arrays(finished):
    folder, records = finished
    runs = [(r["run"], r["seed"]) for r in records]
    own = [(name, seed) for name in ("rnn", "direct rnn") for seed in (0, 1, "ensemble")]
    assert runs == [("persistence", None), ("seasonal naive", None), ("autoregression", None), *own]
    arrays = np.load(folder / "arrays.npz")
    assert [records[0][f"{p}/points"] for p in ("training", "validation", "test")] == [105, 23, 22]
    assert records[0]["filled"] == 1
    for record in records:
        if record["seed"] in (None, "ensemble"):
            name = record["run"]
            errors = np.where(arrays["scored"], arrays[f"{name}/center"] - arrays["actual"], np.nan)
            mae, rmse = np.nanmean(np.abs(errors), axis=1), np.sqrt(np.nanmean(errors**2, axis=1))
            assert record["test/mae/first_step"] == pytest.approx(mae[0])
            assert record["test/mae/mean"] == pytest.approx(mae.mean())
            assert record["test/rmse/last_step"] == pytest.approx(rmse[-1])
            if f"{name}/lower" in arrays:
                inside = (arrays[f"{name}/lower"][1] <= arrays["actual"]) & (
                    arrays["actual"] <= arrays[f"{name}/upper"][1]
                )
                share = np.sum(inside[0] & arrays["scored"][0]) / arrays["scored"][0].sum()
                assert record["test/coverage_95/first_step"] == pytest.approx(share)
    assert records[2]["order"] >= 1
    assert records[-1]["parameters"] > 0
    assert len(INTERVALS) == 2


def test_opponents_and_the_rate_for_a_file(plan):
    assert configs.trainer(with_("x.csv"), plan.models["rnn"], 9).optimizer.optimizer.learning_rate == 0.001
    found = measurement.opponents(plan.data, TINY)
    assert [o.name for o in found] == ["persistence", "seasonal naive", "autoregression"]
    assert found[2].scores.mae[0] < found[1].scores.mae[0]


def test_the_default_series_needs_nothing():
    ready = configs.plan(forecasting.QUICK)
    assert ready.data.source == "Mackey-Glass, tau 17"
    assert (ready.data.parts, ready.data.horizon) == ((2100, 2550, 3000), 14)
    assert configs.trainer(forecasting.QUICK, ready.models["gru"], 9).optimizer.optimizer.learning_rate == 0.005
    assert isinstance(configs.plan(dataclasses.replace(TINY, direct=("gru",))).models["direct gru"].head, Quantiles)


BAD = [
    ({"data": "nowhere.csv"}, "--data: nowhere.csv: cannot be read: No such file or directory"),
    ({"fill": 0}, "line 42: 'x' is missing in 1 row; gaps of up to 0 rows are filled"),
    ({"fill": 0}, "--fill=N fills gaps of up to N rows"),
    ({"column": "y"}, "must have one column called 'y', got 0; its columns are 'day', 'x'"),
    ({"split": ("70", "30")}, "shares must be 3 numbers"),
    ({"split": ("70", "15", "x")}, "--split must be three numbers, got '70,15,x'"),
    ({"horizon": 30}, "too short: --horizon=30 needs as many points in its validation part, which has 23"),
    ({"window": 120}, "too short: its training part has 105 points, and windows of 120"),
    ({"season": 110, "horizon": 2}, "--season=110 must be shorter than the training part, 105 points"),
    ({"transform": "cube"}, "--transform must be auto, or level, log, root with lags of differences"),
    ({"transform": "log-0"}, "--transform must be auto, or level, log, root with lags of differences"),
    ({"cells": (), "direct": ()}, "--cells and --direct must name at least one network"),
    ({"cells": ("lstmm",)}, "unknown cell 'lstmm': known are rnn, irnn"),
    ({"seeds": 0}, "--seeds must be at least 1, got 0"),
    ({"season": 0}, "--season must be at least 1, got 0"),
    ({"taps": 9}, "--taps must be at most half of the window of 12, and 1 more, got 9"),
    ({"learning_rate": float("nan")}, "--learning_rate must be a positive number, got nan"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        forecasting.run(with_(**{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_column_without_a_file_and_a_log_of_nothing_are_refused(tmp_path):
    with pytest.raises(UserError, match="--column=x is of a file"):
        configs.plan(dataclasses.replace(TINY, column="x"))
    path = tmp_path / "zero.csv"
    path.write_text("\n".join(f"{i % 7}" for i in range(200)))
    with pytest.raises(UserError, match="--transform=log: log cannot take its least value, 0"):
        configs.plan(with_(str(path), transform="log"))
    assert configs.plan(with_(str(path))).data.transform.scale.name != "log"
    path.write_text("\n".join("5" for _ in range(200)))
    with pytest.raises(UserError, match="the training part cannot be standardised"):
        configs.plan(with_(str(path)))


def test_a_bad_file_ends_the_program_without_a_traceback(tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text("day,x\na,1\nb,two\nc,3\n")
    done = subprocess.run(
        [sys.executable, "-m", "experiments.forecasting", f"--data={path}", f"--workdir={tmp_path / 'run'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: --data: {path}, line 3: 'x' must be a finite number, got 'two'"
