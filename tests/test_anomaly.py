"""The anomaly experiment: what is injected, detectors by hand, scores, what a run writes, what it refuses."""

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
from experiments.anomaly import config as configs
from experiments.anomaly import detectors, evaluation
from experiments.anomaly.injection import KINDS, Copies, Event, Place, inject, moving_mean
from experiments.common.flags import UserError
from rnn_jax import training

pytestmark = pytest.mark.usefixtures("unoptimized", "one_thread")

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
    return configs.plan(dataclasses.replace(TINY, data=data))


def test_each_kind_is_what_its_name_says():
    values = np.array([3.0, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2])
    place = Place(4, 8, 3, 0.5)
    wanted = {
        "spike": [1.5, 2.5, 3.5, 1.5],
        "level shift": [1.5, 2.5, 3.5, 1.5],
        "amplitude": [0, 2, 4, 0],
        "slowed": [1, 1.5, 2, 2.5],
        "flat line": [3, 3, 3, 3],
        "missing season": [2, 2, 2, 2],
    }
    assert wanted.keys() == KINDS.keys()
    for kind, expected in wanted.items():
        np.testing.assert_allclose(KINDS[kind](values, place), expected, err_msg=kind)
    np.testing.assert_allclose(KINDS["amplitude"](values, place._replace(size=-0.5)), [5 / 3, 2, 7 / 3, 5 / 3])
    np.testing.assert_allclose(moving_mean(np.array([1.0, 2, 6, 8]), 3), [1.5, 3, 16 / 3, 7])


def test_anomalies_stand_where_they_are_said_to_and_apart():
    values = np.random.default_rng(0).normal(size=400)
    copies = inject(values, 100, 380, 6, 5, 2.0, 10, 12, np.random.default_rng(1))
    changed = copies.values != values[:, None]
    assert not np.any(changed & ~copies.anomalous)
    np.testing.assert_array_equal(copies.values[:, -1], values)
    assert copies.values.shape == (400, 13)
    per_copy = 280 // (4 * 5 + 10)
    assert len(copies.events) == 12 * per_copy
    counts = {kind: sum(event.kind == kind for _, event in copies.events) for kind in KINDS}
    assert set(counts.values()) == {12 * per_copy // 6}
    by_copy = [sorted(event[1:] for c, event in copies.events if c == copy) for copy in range(12)]
    for events in by_copy:
        assert events[0][0] > 100
        assert events[-1][1] <= 380
        assert all(later[0] >= earlier[1] + 10 for earlier, later in itertools.pairwise(events))
    assert len({tuple(events) for events in by_copy}) > 6
    spikes = [(c, e) for c, e in copies.events if e.kind == "spike"]
    for copy, event in spikes:
        assert event.stop == event.start + 1
        assert abs(copies.values[event.start, copy] - values[event.start]) == pytest.approx(2)
    with pytest.raises(ValueError, match="a part of 6 points is too short for an anomaly of 5"):
        inject(values, 100, 106, 6, 5, 2.0, 0, 6, np.random.default_rng(1))


def test_normal_points_are_observed_and_not_in_an_aftermath():
    copies = Copies(np.zeros((10, 2)), [(0, Event("spike", 4, 5))], 2, 9)
    observed = np.ones(10, bool)
    observed[8] = False
    assert np.flatnonzero(copies.normal(observed, 2)[:, 0]).tolist() == [2, 3, 7]
    assert not copies.normal(observed, 2)[:, 1].any()
    assert np.argwhere(copies.anomalous).tolist() == [[4, 0]]


def test_scores_by_hand():
    values = np.zeros((10, 2))
    copies = Copies(values, [(0, Event("spike", 4, 5)), (0, Event("flat line", 7, 9))], 0, 10)
    points = np.array([[0.1, 0.1], [0.2, 0.1], [0.3, 0.1], [5.0, 0.1], [4.0, 0.2], [0.1, 0.1], [0.1, 0.1], [0.15, 0.3]])
    points = np.concatenate([points, [[2.0, 0.1], [0.1, 0.1]]])
    observed = np.ones(10, bool)
    normal = copies.normal(observed, 0)
    got = evaluation.evaluate(points, copies, normal, observed, 1.0)
    assert got.false_alarms == pytest.approx(1000 / 7)
    assert got.kinds["spike"] == (1.0, 1.0, 0.0)
    assert got.kinds["flat line"] == (1.0, 1.0, 1.0)
    assert got.all == (1.0, 1.0, 0.5)
    # Normal: 0.1 (four times), 0.2, 0.3, 5; anomalous: 4, 0.15, 2.
    assert got.point_auc == pytest.approx((6 + 4 + 6) / 21)
    missed = evaluation.evaluate(points, copies, normal, observed, 3.0)
    assert missed.all.detected == 0.5
    assert missed.kinds["flat line"].detected == 0
    assert np.isnan(missed.kinds["flat line"].delay)
    scores = np.arange(1000.0).reshape(500, 2)
    threshold = evaluation.threshold_of(scores, np.ones((500, 2), bool), 20)
    assert np.mean(scores > threshold) == pytest.approx(0.02)


def test_strangeness_is_scipys():
    residuals = np.random.default_rng(0).normal(size=(9, 2))
    residuals[5, 0] = 40.0
    got = detectors.strangeness(residuals, 3)
    alone = -(np.log(2) + scipy.stats.norm.logsf(np.abs(residuals)))
    np.testing.assert_allclose(detectors.strangeness(residuals, 1), alone)
    assert got[5, 0] == pytest.approx(alone[5, 0]) == pytest.approx(800 + np.log(40 * np.sqrt(np.pi / 2)), abs=0.01)
    for t in (2, 4, 8):
        law, s = scipy.stats.chi2(3), np.sum(residuals[t - 2 : t + 1] ** 2, axis=0)
        both = -np.log(2 * np.minimum(law.cdf(s), law.sf(s)))
        np.testing.assert_allclose(got[t], np.maximum(alone[t], both), rtol=1e-6)
    stuck = detectors.strangeness(np.array([[1.0], [-1.0], [0.01], [-0.02], [0.01]]), 3)
    assert stuck[-1] > 10 > stuck[1]


def test_opponents_by_their_formulas(plan):
    data, copies = plan.data, plan.copies["test"]
    known = data.series.values[: data.parts.training]
    x = copies.values
    np.testing.assert_allclose(detectors.z_score(data, copies), np.abs(x - known.mean()) / known.std())
    np.testing.assert_allclose(detectors.seasonal(data, copies)[250], np.abs(x[250] - x[250 - SEASON]))
    z, model = detectors.transformed(data, copies), data.autoregression
    t = 251
    wanted = model.constant + sum(a * z[t - k] for k, a in enumerate(model.weights, 1))
    residual = np.abs(z[t] - wanted) / model.deviation
    alone = -(np.log(2) + scipy.stats.norm.logsf(residual))
    np.testing.assert_allclose(detectors.autoregression(data, copies, 1)[t], alone, rtol=1e-6)


def test_a_networks_score_is_that_of_the_mean_distribution_of_the_next_value(plan):
    data, copies, model = plan.data, plan.copies["test"], plan.models["rnn"]
    params = training.init(configs.forecasting.trainer(TINY, model, 1), jax.random.split(jax.random.key(0), 2)).params
    *seeds, together = detectors.network(data, model, params, copies, 1)
    t, z = copies.stop - 3, detectors.transformed(data, copies)
    begin = max(data.transform.lost, copies.start - data.window)
    below = []
    for seed, got in enumerate(seeds):
        own = jax.tree.map(lambda leaf, seed=seed: leaf[seed], params)
        outputs = np.asarray(model.apply(own, jnp.asarray(z[begin:t, :, None], jnp.float32))[1], float)[-1, :, 0, 0]
        law = scipy.stats.norm(outputs[:, 0], np.exp(0.5 * outputs[:, 1]))
        tail = np.minimum(law.cdf(z[t]), law.sf(z[t]))
        np.testing.assert_allclose(got[t], -np.log(2 * tail), rtol=1e-3, atol=1e-4)
        below.append(law.cdf(z[t]))
    mean = np.mean(below, axis=0)
    np.testing.assert_allclose(together[t], -np.log(2 * np.minimum(mean, 1 - mean)), rtol=1e-3, atol=1e-4)


def test_no_detector_looks_ahead(plan):
    """What comes after a point does not change its score."""
    data, copies = plan.data, plan.copies["test"]
    later = dataclasses.replace(copies, values=copies.values.copy())
    cut = copies.start + 40
    later.values[cut:] += 5
    params = training.init(
        configs.forecasting.trainer(TINY, plan.models["rnn"], 1), jax.random.split(jax.random.key(0), 2)
    ).params
    for detector in (
        detectors.z_score,
        detectors.seasonal,
        lambda d, c: detectors.autoregression(d, c, 3),
        lambda d, c: detectors.isolation_forest(d, c, 0),
        lambda d, c: detectors.network(d, plan.models["rnn"], params, c, 3)[-1],
    ):
        before, after = detector(data, copies), detector(data, later)
        np.testing.assert_allclose(before[copies.start : cut], after[copies.start : cut], rtol=1e-5, atol=1e-6)
        assert not np.allclose(before[cut], after[cut])


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    anomaly.run(dataclasses.replace(TINY, data=data), str(folder))
    return folder, json.loads((folder / "results.json").read_text())["results"]


def test_writes_its_files(finished):
    folder, records = finished
    assert {p.name for p in folder.iterdir() if p.is_file()} == {
        "config.json", "results.json", "examples.png", "kinds.png", "summary.html"
    }  # fmt: skip
    opponents = ["z-score", "seasonal naive", "autoregression", "isolation forest"]
    assert [(r["run"], r["seed"]) for r in records] == [
        *((name, None) for name in opponents),
        ("rnn", 0),
        ("rnn", 1),
        ("rnn", "together"),
    ]
    assert "The best opponent is" in (folder / "summary.html").read_text()


def test_the_records_are_probabilities_and_counts(finished, plan):
    _, records = finished
    for record in records:
        assert 0 <= record["test/point_auc"] <= 1
        assert 0 <= record["test/false_alarms_per_1000"] <= 1000
        assert record["test/events"] == len(plan.copies["test"].events)
        for kind in ("all", *KINDS):
            assert 0 <= record[f"test/{kind}/event_auc"] <= 1
            assert 0 <= record[f"test/{kind}/detected"] <= 1
    # The threshold is the validation part's.
    copies, observed = plan.copies["validation"], plan.data.series.observed
    points = detectors.z_score(plan.data, copies)
    wanted = evaluation.threshold_of(points, copies.normal(observed, TINY.grace), TINY.false_alarms)
    assert records[0]["threshold"] == pytest.approx(wanted)
    linear = next(r for r in records if r["run"] == "autoregression")
    naive = next(r for r in records if r["run"] == "z-score")
    assert linear["test/flat line/event_auc"] > 0.9 > naive["test/flat line/event_auc"]


BAD = [
    ({"data": "nowhere.csv"}, "--data: nowhere.csv: cannot be read"),
    ({"copies": 3}, "--copies must be at least 6, got 3"),
    ({"length": 1}, "--length must be at least 2, got 1"),
    ({"length": 70}, "its validation part: a part of 60 points is too short for an anomaly of 70; a smaller --length"),
    ({"width": 0}, "--width must be at least 1, got 0"),
    ({"size": -1.0}, "--size must be a positive number, got -1.0"),
    ({"false_alarms": 1000.0}, "--false_alarms must be between 0 and 1000, got 1000.0"),
    ({"cells": ()}, "--cells must name at least one network"),
    ({"cells": ("no_module:Cell",)}, "cell 'no_module:Cell': cannot import module 'no_module'"),
    ({"epochs": 0}, "--epochs must be at least 1, got 0"),
]


@pytest.mark.parametrize(("fields", "message"), BAD, ids=[str(fields) for fields, _ in BAD])
def test_bad_settings_are_refused_before_anything_is_written(fields, message, data, tmp_path):
    with pytest.raises(UserError, match=re.escape(message)):
        anomaly.run(dataclasses.replace(TINY, **{"data": data, **fields}), str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


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
