"""Anomaly scores of every point, from the points up to it alone, and how well they detect anomalies."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.anomaly.config import Config, Injected
from experiments.anomaly.injection import KINDS, Copies, Event
from experiments.baselines import naive_series
from experiments.baselines.isolation_forest import isolation_scores
from experiments.common.detection import find_threshold
from experiments.common.evaluations import Evaluation, Evaluations, Result, mean_over_series
from experiments.common.panel import Panel
from experiments.common.series import AUTOREGRESSION, Data
from rnn_jax.applications import AnomalyDetector
from rnn_jax.applications.residuals import standardised_residuals, surprise
from rnn_jax.models import Forecaster


class EventScores(NamedTuple):
    """Scores over anomalies of one kind, or of all kinds."""

    event_auc: float  # probability that an anomaly's highest score exceeds that of an unchanged span
    detected: float  # share with an alarm
    delay: float  # median points from start to first alarm of those detected; NaN if none is


class Scores(NamedTuple):
    """Scores of a detector on the test set."""

    threshold: float
    point_auc: float  # probability that a point of an anomaly scores higher than a normal one
    false_alarms: float  # in 1,000 normal points
    all: EventScores
    kinds: dict[str, EventScores]


Results = Mapping[str, Result[Scores]]  # by detector


def flat(scores: Scores) -> dict[str, float]:
    """Returns the scores by the name of their field in a record."""
    fields = {"threshold": scores.threshold, "test/point_auc": scores.point_auc}
    fields["test/false_alarms_per_1000"] = scores.false_alarms
    for kind, each in {"all": scores.all, **scores.kinds}.items():
        fields |= {f"test/{kind}/{name}": value for name, value in each._asdict().items()}
    return fields


def evaluate(points: np.ndarray, copies: Copies, threshold: float) -> Scores:
    """Returns the scores of a detector that gives the points of all copies the anomaly scores [N, copies + 1]."""
    from sklearn.metrics import roc_auc_score

    anomalous, normal = copies.masks()
    counted = anomalous | normal
    point_auc = float(roc_auc_score(anomalous[counted], points[counted]))
    false_alarms = 1000 * float(np.mean(points[normal] > threshold))
    events = {kind: [event for event in copies.events if event.kind == kind] for kind in KINDS}
    kinds = {kind: _evaluate_events(points, some, threshold) for kind, some in events.items() if some}
    return Scores(threshold, point_auc, false_alarms, _evaluate_events(points, copies.events, threshold), kinds)


def _evaluate_events(points: np.ndarray, events: Sequence[Event], threshold: float) -> EventScores:
    from sklearn.metrics import roc_auc_score

    pairs = [(points[span, copy], points[span, -1]) for copy, _, span in events]
    highest, unchanged = ([scores.max() for scores in side] for side in zip(*pairs, strict=True))
    auc = roc_auc_score([1] * len(pairs) + [0] * len(pairs), highest + unchanged)
    delays = [int(np.argmax(scores > threshold)) for scores, _ in pairs if scores.max() > threshold]
    return EventScores(float(auc), len(delays) / len(pairs), float(np.median(delays)) if delays else float("nan"))


def evaluations(config: Config, panel: Panel, injected: Sequence[Injected]) -> Evaluations[Scores]:
    """Returns the evaluations of anomaly scores on each validation set, for thresholds, and test set."""
    reads = [copies.stop - _start(each.data, copies) for each in injected for copies in (each.validation, each.test)]
    longest = max(reads) if len(injected) > 1 else 0

    def application(model: Forecaster, each: Sequence[Scores]) -> AnomalyDetector:
        thresholds = tuple(scores.threshold for scores in each)
        return AnomalyDetector(
            **panel.file_fields(config, model),
            width=injected[0].width,
            threshold=float(np.mean(thresholds)),
            thresholds=thresholds if panel.group else (),
        )

    each = [evaluation(config, one, longest) for one in injected]
    return Evaluations(each, mean_over_series, application)


def evaluation(config: Config, injected: Injected, longest: int = 0) -> Evaluation[Scores]:
    """Returns the evaluation of anomaly scores on one series; `longest` as `network_scores`."""
    data, splits, width = injected.data, (injected.validation, injected.test), injected.width
    _, normal = injected.validation.masks()

    def predict(model: Forecaster, params: Any, _: jax.Array) -> list[Any]:
        each = (network_scores(data, model, params, copies, width, longest) for copies in splits)
        return list(zip(*each, strict=True))

    def score(points: tuple[np.ndarray, np.ndarray]) -> Scores:
        return evaluate(points[1], injected.test, find_threshold(points[0][normal], config.false_alarms))

    validation, test = (baseline_scores(data, copies, width, config.seed) for copies in splits)
    baselines = {name: (validation[name], test[name]) for name in test}
    fields = {"length": injected.length, "scale": injected.scale, "grace": injected.test.grace, "width": width}
    fields |= {"test/events": len(injected.test.events)}
    return Evaluation(baselines, predict, score, flat, fields)


def baseline_scores(data: Data, copies: Copies, width: int, seed: int) -> dict[str, np.ndarray]:
    """Returns the anomaly scores [N, copies + 1] of each baseline; `seed` is the isolation forest's."""
    linear, z = data.autoregression, data.transformed(copies.values)
    x = _in_place(z, data.x)
    clean = data.x[data.transform.lost : data.ends.training]
    residuals = (x - linear.one_step(x, data.known[: len(x)]))[..., 0] / linear.deviation[0]
    return {
        "z-score": naive_series.z_score(copies.values, data.training),
        "seasonal naive": naive_series.seasonal_residual(copies.values, data.season),
        AUTOREGRESSION: surprise(residuals, width),
        "isolation forest": isolation_scores(clean, x, copies.start, copies.stop, data.season, seed),
    }


def _start(data: Data, copies: Copies) -> int:
    """Returns the point from which a network reads a split: a window before it."""
    return max(data.transform.lost, copies.start - data.window)


def network_scores(
    data: Data, model: Forecaster, params: Any, copies: Copies, width: int, longest: int = 0
) -> list[np.ndarray]:
    """Returns the anomaly scores [N, copies + 1] of the ensemble, then of each seed of params [seeds, ...].

    The network reads the split once and carries its state. Fewer than `longest` points are filled up behind.
    """
    start = _start(data, copies)
    read = _in_place(data.transformed(copies.values), data.inputs)[start : copies.stop]
    filled = np.pad(read, ((0, max(0, longest - len(read))), (0, 0), (0, 0)), "edge")
    residuals = standardised_residuals(model, params, filled)[:, : len(read) - 1]
    aligned = np.zeros((len(residuals), *copies.values.shape))
    aligned[:, start + 1 : copies.stop] = residuals
    return [surprise(each, width) for each in aligned]


def _in_place(z: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns columns [N, C] with each of the copies z [N, copies + 1] in place of the first: [N, copies + 1, C]."""
    others = np.broadcast_to(columns[:, None, 1:], (*z.shape, columns.shape[1] - 1))
    return np.concatenate([z[..., None], others], axis=2)
