"""How well scores tell anomalies from what is normal, at every threshold and at one chosen on the validation part."""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from experiments.anomaly.injection import KINDS, Copies


class OfKind(NamedTuple):
    """Of one kind of anomaly, or of all."""

    event_auc: float  # chance that an anomaly's highest score is above that of a span left as it was
    detected: float  # share with an alarm
    delay: float  # median points from its beginning to the first alarm, of those detected; NaN: none was


class Scores(NamedTuple):
    """Of a detector, on the test part."""

    threshold: float
    point_auc: float  # chance that a point of an anomaly is scored above a normal one
    false_alarms: float  # per 1,000 normal points
    all: OfKind
    kinds: dict[str, OfKind]


def threshold_of(scores: np.ndarray, normal: np.ndarray, false_alarms: float) -> float:
    """Above it lie `false_alarms` of 1,000 normal points."""
    return float(np.quantile(scores[normal], 1 - false_alarms / 1000))


def evaluate(scores: np.ndarray, copies: Copies, normal: np.ndarray, observed: np.ndarray, threshold: float) -> Scores:
    """Of scores [N, copies + 1]; `normal` as `Copies.normal` gives it, `observed` booleans [N]."""
    anomalous = copies.anomalous & observed[:, None]
    counted = anomalous | normal
    point_auc = float(roc_auc_score(anomalous[counted], scores[counted]))
    kinds = {}
    for kind in KINDS:
        places = [i for i, (_, event) in enumerate(copies.events) if event.kind == kind]
        if places:
            kinds[kind] = _of(scores, copies, places, threshold)
    every = _of(scores, copies, range(len(copies.events)), threshold)
    return Scores(threshold, point_auc, 1000 * float(np.mean(scores[normal] > threshold)), every, kinds)


def _of(scores: np.ndarray, copies: Copies, places: range | list[int], threshold: float) -> OfKind:
    highest, untouched, delays = [], [], []
    for copy, event in (copies.events[i] for i in places):
        inside = scores[event.start : event.stop, copy]
        highest.append(inside.max())
        untouched.append(scores[event.start : event.stop, -1].max())
        if (alarms := np.flatnonzero(inside > threshold)).size:
            delays.append(int(alarms[0]))
    auc = roc_auc_score([1] * len(highest) + [0] * len(untouched), highest + untouched)
    return OfKind(float(auc), len(delays) / len(highest), float(np.median(delays)) if delays else float("nan"))
