"""The anomaly experiment: injected anomalies, detectors by hand, scores, files of a run, settings that it refuses."""

import dataclasses
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from experiments import anomaly
from experiments.anomaly import measurement
from experiments.anomaly.injection import KINDS, Copies, Event, inject, moving_mean
from experiments.baselines import naive_series
from experiments.common import forecasters
from experiments.common.detection import find_threshold
from experiments.common.flags import UserError
from experiments.common.settings import ModelSettings
from rnn_jax import models, training
from rnn_jax.applications.residuals import surprise
from rnn_jax.data import Series

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[1]
SEASON = 6
TINY = anomaly.Config(
    season=SEASON, length=4, copies=6, cells=("rnn",), hidden_size=3, window=12, taps=4, epochs=1, seeds=2, grace=6
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    t, rng = np.arange(300), np.random.default_rng(0)
    path = tmp_path_factory.mktemp("data") / "series.csv"
    values = 10 + 3 * np.sin(2 * np.pi * t / SEASON) + 0.3 * rng.normal(size=300)
    path.write_text("\n".join(["day,x", *(f"{i:03d},{x:.4f}" for i, x in enumerate(values))]), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def plan(data):
    """The only series with its anomalies."""
    (injected,) = anomaly.plan(dataclasses.replace(TINY, data=data))[2]
    return injected


@pytest.fixture(scope="module")
def model(data):
    return anomaly.plan(dataclasses.replace(TINY, data=data))[1]["rnn"]


@pytest.fixture(scope="module")
def params(plan, model):
    """Initial parameters [2, ...] of the network."""
    trainer = TINY.trainer(model, [forecasters.examples(plan.data, model, 0, 60, 1)])
    return training.init(trainer, jax.random.split(jax.random.key(0), 2)).params


def test_the_first_line_states_what_was_read(plan, data):
    sizes = "150 rows for training, 60 for validation, 90 for the test"
    rows = "rows 000 to 299, no dates: gaps are not checked, 0 numbers interpolated"
    assert plan.data.note == (
        f"{data} (UTF-8, delimiter comma, decimal point): column 'x', {rows}; in time order {sizes}"
    )


def test_each_kind_is_what_its_name_says():
    values, span = np.array([3.0, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2]), slice(4, 8)
    mean = moving_mean(values, 3)
    expected = {
        "spike": [1.5, 2.5, 3.5, 1.5],
        "level shift": [1.5, 2.5, 3.5, 1.5],
        "amplitude": [0, 2, 4, 0],
        "slowed": [1, 1.5, 2, 2.5],
        "flat line": [3, 3, 3, 3],
        "missing season": [2, 2, 2, 2],
    }
    assert expected.keys() == KINDS.keys()
    for kind, changed in expected.items():
        np.testing.assert_allclose(KINDS[kind](values, mean, span, 0.5), changed, err_msg=kind)
    np.testing.assert_allclose(KINDS["amplitude"](values, mean, span, -0.5), [5 / 3, 2, 7 / 3, 5 / 3])
    np.testing.assert_allclose(moving_mean(np.array([1.0, 2, 6, 8]), 3), [1.5, 3, 16 / 3, 7])


def test_anomalies_are_at_their_recorded_places_and_apart():
    values = np.random.default_rng(0).normal(size=400)
    series = Series("x", tuple(map(str, range(400))), values, np.ones(400, bool))
    copies = inject(series, 100, 380, 12, 6, 5, 2.0, 10, np.random.default_rng(1))
    anomalous, _ = copies.masks()
    changed = copies.values != values[:, None]
    assert not np.any(changed & ~anomalous)
    np.testing.assert_array_equal(copies.values[:, -1], values)
    assert copies.values.shape == (400, 13)
    per_copy = 280 // (4 * 5 + 10)
    assert len(copies.events) == 12 * per_copy
    counts = {kind: sum(event.kind == kind for event in copies.events) for kind in KINDS}
    assert set(counts.values()) == {12 * per_copy // 6}
    spans = [[(e.span.start, e.span.stop) for e in copies.events if e.copy == copy] for copy in range(12)]
    for each in map(sorted, spans):
        assert each[0][0] > 100
        assert each[-1][1] <= 380
        assert all(later[0] >= earlier[1] + 10 for earlier, later in itertools.pairwise(each))
    assert len({tuple(each) for each in spans}) > 6
    for copy, _, span in (event for event in copies.events if event.kind == "spike"):
        assert span.stop == span.start + 1
        assert abs(copies.values[span.start, copy] - values[span.start]) == pytest.approx(2)
    with pytest.raises(ValueError, match="6 points are too few for an anomaly of 5"):
        inject(series, 100, 106, 6, 6, 5, 2.0, 0, np.random.default_rng(1))


def test_normal_points_are_observed_and_outside_anomalies_and_their_grace():
    observed = np.ones(10, bool)
    observed[8] = False
    copies = Copies(np.zeros((10, 2)), [Event(0, "spike", slice(4, 5))], 2, 9, observed, grace=2)
    anomalous, normal = copies.masks()
    assert np.flatnonzero(normal[:, 0]).tolist() == [2, 3, 7]
    assert not normal[:, 1].any()
    assert np.argwhere(anomalous).tolist() == [[4, 0]]


def test_scores_by_hand():
    events = [Event(0, "spike", slice(4, 5)), Event(0, "flat line", slice(7, 9))]
    copies = Copies(np.zeros((10, 2)), events, 0, 10, np.ones(10, bool), grace=0)
    points = np.array([[0.1, 0.1], [0.2, 0.1], [0.3, 0.1], [5.0, 0.1], [4.0, 0.2], [0.1, 0.1], [0.1, 0.1], [0.15, 0.3]])
    points = np.concatenate([points, [[2.0, 0.1], [0.1, 0.1]]])
    got = measurement.evaluate(points, copies, 1.0)
    assert got.false_alarms == pytest.approx(1000 / 7)
    assert got.kinds["spike"] == (1.0, 1.0, 0.0)
    assert got.kinds["flat line"] == (1.0, 1.0, 1.0)
    assert got.all == (1.0, 1.0, 0.5)
    # Normal: 0.1 (four times), 0.2, 0.3, 5; anomalous: 4, 0.15, 2.
    assert got.point_auc == pytest.approx((6 + 4 + 6) / 21)
    missed = measurement.evaluate(points, copies, 3.0)
    assert missed.all.detected == 0.5
    assert missed.kinds["flat line"].detected == 0
    assert np.isnan(missed.kinds["flat line"].delay)
    scores = np.arange(1000.0).reshape(500, 2)
    threshold = find_threshold(scores, 20)
    assert np.mean(scores > threshold) == pytest.approx(0.02)


def test_surprise_equals_scipys_distributions():
    residuals = np.random.default_rng(0).normal(size=(9, 2))
    residuals[5, 0] = 40.0
    got = surprise(residuals, 3)
    single = -(np.log(2) + scipy.stats.norm.logsf(np.abs(residuals)))
    np.testing.assert_allclose(surprise(residuals, 1), single)
    assert got[5, 0] == pytest.approx(single[5, 0]) == pytest.approx(800 + np.log(40 * np.sqrt(np.pi / 2)), abs=0.01)
    for t in (2, 4, 8):
        law, s = scipy.stats.chi2(3), np.sum(residuals[t - 2 : t + 1] ** 2, axis=0)
        joint = -np.log(2 * np.minimum(law.cdf(s), law.sf(s)))
        np.testing.assert_allclose(got[t], np.maximum(single[t], joint), rtol=1e-6)
    stuck = surprise(np.array([[1.0], [-1.0], [0.01], [-0.02], [0.01]]), 3)
    assert stuck[-1] > 10 > stuck[1]


def test_baselines_by_their_formulas(plan):
    data, x = plan.data, plan.test.values
    scores = measurement.baseline_scores(data, plan.test, 1, 0)
    known = data.series.values[: data.ends.training]
    np.testing.assert_allclose(scores["z-score"], np.abs(x - known.mean()) / known.std())
    np.testing.assert_allclose(scores["seasonal naive"][250], np.abs(x[250] - x[250 - SEASON]))
    z, model, t = data.transformed(x), data.autoregression, 251
    expected = model.constant + sum(a * z[t - k] for k, a in enumerate(model.weights[0, ::-1], 1))
    residual = np.abs(z[t] - expected) / model.deviation
    single = -(np.log(2) + scipy.stats.norm.logsf(residual))
    np.testing.assert_allclose(scores["autoregression"][t], single, rtol=1e-6)


def test_network_scores_follow_from_the_distribution_of_the_next_value(plan, model, params):
    """The ensemble's is the mean of the seeds' distributions."""
    data, copies = plan.data, plan.test
    ensemble, *seeds = measurement.network_scores(data, model, params, copies, 1)
    t, z = copies.stop - 3, data.transformed(copies.values)
    start = max(data.transform.lost, copies.start - data.window)
    below = []
    for seed, got in enumerate(seeds):
        seed_params = jax.tree.map(lambda leaf, seed=seed: leaf[seed], params)
        inputs = jnp.asarray(z[start:t, :, None], jnp.float32)
        outputs = np.asarray(model.apply(seed_params, inputs)[1], float)[-1, :, 0, 0]
        law = scipy.stats.norm(outputs[:, 0], np.exp(0.5 * outputs[:, 1]))
        tail = np.minimum(law.cdf(z[t]), law.sf(z[t]))
        np.testing.assert_allclose(got[t], -np.log(2 * tail), rtol=1e-3, atol=1e-4)
        below.append(law.cdf(z[t]))
    mean = np.mean(below, axis=0)
    np.testing.assert_allclose(ensemble[t], -np.log(2 * np.minimum(mean, 1 - mean)), rtol=1e-3, atol=1e-4)


def test_scores_do_not_depend_on_later_points(plan, model, params):
    data, copies = plan.data, plan.test
    later = dataclasses.replace(copies, values=copies.values.copy())
    cut = copies.start + 40
    later.values[cut:] += 5

    def all_scores(copies):
        ensemble, *_ = measurement.network_scores(data, model, params, copies, 3)
        return measurement.baseline_scores(data, copies, 3, 0) | {"network": ensemble}

    before, after = all_scores(copies), all_scores(later)
    assert len(before) == 5
    for name, scores in before.items():
        np.testing.assert_allclose(scores[copies.start : cut], after[name][copies.start : cut], rtol=1e-5, atol=1e-6)
        assert not np.allclose(scores[cut], after[name][cut]), name


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    anomaly.run(dataclasses.replace(TINY, data=data), str(folder), ModelSettings(save_model=True))
    return folder, json.loads((folder / "results.json").read_text(encoding="utf-8"))["results"]


@pytest.mark.extended
def test_the_saved_model_is_the_trained_one(finished, plan, data):
    folder, records = finished
    loaded = models.load(folder / "models" / "rnn")
    record = next(r for r in records if (r["run"], r["seed"]) == ("rnn", loaded.notes["seed"]))
    assert loaded.definition.threshold == record["threshold"]
    params = jax.tree.map(lambda leaf: leaf[None], loaded.params)
    _, points = measurement.network_scores(plan.data, loaded.model, params, plan.test, plan.width)
    again = measurement.flat(measurement.evaluate(points, plan.test, record["threshold"]))
    assert {name: record[name] for name in again} == pytest.approx(again, abs=0, rel=0, nan_ok=True)
    read = loaded.definition.read(data)
    anomalies = loaded.predict(read)
    assert len(anomalies.scores) == 300
    assert np.isnan(anomalies.scores).sum() == loaded.definition.warm_up
    jumped = read.values.copy()
    jumped[250] += 40
    alarms = loaded.predict(jumped).alarms
    assert alarms[250]
    assert not alarms[: loaded.definition.warm_up].any()
    assert "\talarm" in "".join(loaded.definition.lines(read._replace(values=jumped), loaded.predict(jumped)))


@pytest.mark.extended
def test_writes_its_files(finished):
    folder, records = finished
    assert {p.name for p in folder.iterdir() if p.is_file()} == {
        "config.json", "results.json", "arrays.npz", "examples.png", "kinds.png", "summary.html"
    }  # fmt: skip
    baselines = ["z-score", "seasonal naive", "autoregression", "isolation forest"]
    assert [(r["run"], r["seed"]) for r in records] == [
        *((name, 0) for name in baselines), ("rnn", 0), ("rnn", 1), ("rnn, ensemble", 0)
    ]  # fmt: skip
    assert "Best baseline by event" in (folder / "summary.html").read_text(encoding="utf-8")
    assert np.load(folder / "arrays.npz")["rnn/validation/loss"].shape == (2, 1)


@pytest.mark.extended
def test_records_are_probabilities_and_counts(finished, plan):
    _, records = finished
    for record in records:
        assert 0 <= record["test/point_auc"] <= 1
        assert 0 <= record["test/false_alarms_per_1000"] <= 1000
        assert record["test/events"] == len(plan.test.events)
        for kind in ("all", *KINDS):
            assert 0 <= record[f"test/{kind}/event_auc"] <= 1
            assert 0 <= record[f"test/{kind}/detected"] <= 1
    # The threshold is that of the validation set.
    _, normal = plan.validation.masks()
    points = naive_series.z_score(plan.validation.values, plan.data.training)
    expected = find_threshold(points[normal], TINY.false_alarms)
    assert records[0]["threshold"] == pytest.approx(expected)
    linear = next(r for r in records if r["run"] == "autoregression")
    naive = next(r for r in records if r["run"] == "z-score")
    assert linear["test/flat line/event_auc"] > 0.9 > naive["test/flat line/event_auc"]


@pytest.mark.extended
@pytest.mark.parametrize("learning_rate", [1e6, 1e30])
def test_one_seed_has_no_ensemble_and_may_diverge(learning_rate, data, tmp_path):
    """A network of one seed is tested and reported like any other, even if its parameters or outputs overflow."""
    anomaly.run(dataclasses.replace(TINY, data=data, seeds=1, learning_rate=learning_rate), str(tmp_path))
    *baselines, record = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["results"]
    assert len(baselines) == 4
    assert (record["run"], record["seed"]) == ("rnn", 0)
    assert 0 <= record["test/point_auc"] <= 1
    page = (tmp_path / "summary.html").read_text(encoding="utf-8")
    assert '<td style="text-align:left">  ensemble</td>' not in page
    assert record["diverged"] == ("rnn: seed 0 diverged" in page)
    assert record["diverged"] or learning_rate < 1e30


BAD = [
    ({"data": "nowhere.csv"}, "--data: nowhere.csv: cannot be read"),
    ({"copies": 3}, "--copies must be at least 6, got 3"),
    ({"length": 1}, "--length must be at least 2, got 1"),
    ({"length": 70}, "validation set: 60 points are too few for an anomaly of 70; a smaller --length"),
    ({"width": 0}, "--width must be positive, got 0"),
    ({"size": -1.0}, "--size must be a positive number, got -1.0"),
    ({"false_alarms": 1000.0}, "--false_alarms must be below 1000, got 1000.0"),
    ({"cells": ()}, "--cells must name at least one and none twice, got ''"),
    ({"cells": ("no_module:Cell",)}, "cell 'no_module:Cell': cannot import module 'no_module'"),
    ({"epochs": 0}, "--epochs must be positive, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        anomaly.run(dataclasses.replace(TINY, **{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.extended
def test_the_command_line_runs(data, tmp_path):
    done = subprocess.run(
        [
            sys.executable, "-m", "experiments.anomaly", "--quick", f"--data={data}", "--season=6", "--length=4",
            "--window=12", "--taps=3", "--epochs=1", "--copies=6", "--hidden_size=2", f"--workdir={tmp_path / 'run'}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "AUC, events" in done.stdout
    assert (tmp_path / "run" / "kinds.png").exists()
