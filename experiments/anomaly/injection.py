"""Anomalies injected into copies of a series, so that their places are known."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rnn_jax.data import Series


class Event(NamedTuple):
    """An anomaly in a copy of the series."""

    copy: int
    kind: str
    span: slice


@dataclasses.dataclass(frozen=True, eq=False)
class Copies:
    """Copies of a series with anomalies in the split [start, stop); the last copy has none."""

    values: np.ndarray  # [N, copies + 1], the whole series
    events: list[Event]
    start: int
    stop: int
    observed: np.ndarray  # booleans [N]
    grace: int

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the anomalous and the normal points, booleans [N, copies + 1]; unobserved ones are neither."""
        anomalous, normal = np.zeros((2, *self.values.shape), bool)
        normal[self.start : self.stop, :-1] = True
        for copy, _, span in self.events:
            anomalous[span, copy] = True
            normal[span.start : span.stop + self.grace, copy] = False
        return anomalous & self.observed[:, None], normal & self.observed[:, None]


def moving_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Returns the mean of `width` values around each value; of fewer at both ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    points = np.arange(len(values))
    low, high = np.maximum(points - width // 2, 0), np.minimum(points + (width + 1) // 2, len(values))
    return (sums[high] - sums[low]) / (high - low)


# Functions of the series x [N], its moving mean over a season [N], the span, and the size, whose sign is random.
KINDS: dict[str, Callable[[np.ndarray, np.ndarray, slice, float], np.ndarray]] = {
    "spike": lambda x, mean, span, size: x[span] + size,
    "level shift": lambda x, mean, span, size: x[span] + size,
    "amplitude": lambda x, mean, span, size: mean[span] + (2 if size > 0 else 1 / 3) * (x[span] - mean[span]),
    "slowed": lambda x, mean, span, size: np.interp((span.start + np.r_[span]) / 2, np.arange(len(x)), x),
    "flat line": lambda x, mean, span, size: np.full_like(x[span], x[span.start - 1]),  # a stuck sensor
    "missing season": lambda x, mean, span, size: mean[span],
}


def inject(
    series: Series, start: int, stop: int, copies: int, season: int, length: int, scale: float, grace: int, rng: Any
) -> Copies:
    """Returns copies with anomalies of all kinds in turn in [start, stop), as many as leave normal points between them.

    All but spikes have `length` points. Spikes and level shifts have the size `scale`, in the units of the series. The
    `grace` points after an anomaly are not normal, as detectors still remember it.

    Raises:
      ValueError: if [start, stop) has too few points for an anomaly.
    """
    count = max(1, (stop - start) // (4 * length + grace))
    room = (stop - start) // count
    if room < length + 2:
        raise ValueError(f"{stop - start} points are too few for an anomaly of {length}")
    values, mean = np.repeat(series.values[:, None], copies + 1, axis=1), moving_mean(series.values, season)
    events = []
    for index in range(copies * count):
        copy, place = divmod(index, count)
        kind = list(KINDS)[index % len(KINDS)]
        points = 1 if kind == "spike" else length
        # Outside the grace of the anomaly before; a split too short for that has one anomaly.
        latest = room - points - (grace if count > 1 else 0)
        first = start + place * room + int(rng.integers(1, latest))
        span, size = slice(first, first + points), scale * float(rng.choice([-1.0, 1.0]))
        values[span, copy] = KINDS[kind](series.values, mean, span, size)
        events.append(Event(copy, kind, span))
    return Copies(values, events, start, stop, series.observed, grace)
