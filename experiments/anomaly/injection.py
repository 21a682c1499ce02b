"""Anomalies put into a series, so that it is known where they are."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Event(NamedTuple):
    """An anomaly: points [start, stop) of the series."""

    kind: str
    start: int
    stop: int


class Place(NamedTuple):
    """Where, and how strong."""

    start: int
    stop: int
    season: int  # points
    size: float  # units of the series; its sign says which way


def spike(values: np.ndarray, place: Place) -> np.ndarray:
    """One point off by `size`."""
    return values[place.start : place.stop] + place.size


def level_shift(values: np.ndarray, place: Place) -> np.ndarray:
    """All points off by `size`."""
    return values[place.start : place.stop] + place.size


def amplitude(values: np.ndarray, place: Place) -> np.ndarray:
    """What deviates from the mean of a season about it, times 2 or a third."""
    inside = values[place.start : place.stop]
    mean = moving_mean(values, place.season)[place.start : place.stop]
    return mean + (2.0 if place.size > 0 else 1 / 3) * (inside - mean)


def slowed(values: np.ndarray, place: Place) -> np.ndarray:
    """The same course at half the speed."""
    times = place.start + np.arange(place.stop - place.start) / 2
    return np.interp(times, np.arange(len(values)), values)


def flat_line(values: np.ndarray, place: Place) -> np.ndarray:
    """A sensor that got stuck at the value before."""
    return np.full(place.stop - place.start, values[place.start - 1])


def missing_season(values: np.ndarray, place: Place) -> np.ndarray:
    """The mean of a season about each point: its trend without its cycle."""
    return moving_mean(values, place.season)[place.start : place.stop]


KINDS: dict[str, Callable[[np.ndarray, Place], np.ndarray]] = {
    "spike": spike,
    "level shift": level_shift,
    "amplitude": amplitude,
    "slowed": slowed,
    "flat line": flat_line,
    "missing season": missing_season,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Copies:
    """A part of a series, again and again, each time with other anomalies; the last copy has none."""

    values: np.ndarray  # [N, copies + 1], the whole series
    events: list[tuple[int, Event]]  # with the copy
    start: int  # of the part
    stop: int

    @property
    def anomalous(self) -> np.ndarray:
        """Booleans [N, copies + 1]."""
        found = np.zeros(self.values.shape, bool)
        for copy, event in self.events:
            found[event.start : event.stop, copy] = True
        return found

    def normal(self, observed: np.ndarray, grace: int) -> np.ndarray:
        """Booleans [N, copies + 1]: within the part, observed, neither in an anomaly nor in the `grace` points after.

        Not those of the last copy.
        """
        found = np.zeros(self.values.shape, bool)
        found[self.start : self.stop, :-1] = observed[self.start : self.stop, None]
        for copy, event in self.events:
            found[event.start : event.stop + grace, copy] = False
        return found


def inject(
    values: np.ndarray,
    start: int,
    stop: int,
    season: int,
    length: int,
    scale: float,
    grace: int,
    copies: int,
    rng: np.random.Generator,
) -> Copies:
    """Puts anomalies into `copies` of a series, all of the kinds in turn; as many into each as leave normal points.

    Args:
      values: of the series [N].
      start: of the part that gets them.
      stop: its end.
      season: points of a season.
      length: points of an anomaly, but for a spike, which has one.
      scale: size of a spike and of a shift of level, in the units of the series.
      grace: points after an anomaly that are not normal, as detectors still remember it.
      copies: how many.
      rng: of places and signs.

    Raises:
      ValueError: where the part is too short for one.
    """
    count = max(1, (stop - start) // (4 * length + grace))
    room = (stop - start) // count
    if room < length + 2:
        raise ValueError(f"a part of {stop - start} points is too short for an anomaly of {length}")
    found = np.repeat(values[:, None], copies + 1, axis=1)
    events: list[tuple[int, Event]] = []
    kinds = list(KINDS)
    for copy in range(copies):
        for place in range(count):
            kind = kinds[len(events) % len(kinds)]
            points = 1 if kind == "spike" else length
            # Not in the aftermath of the one before; a part too short for that has one anomaly alone.
            latest = room - points - (grace if count > 1 else 0)
            first = start + place * room + int(rng.integers(1, latest))
            size = scale * float(rng.choice([-1.0, 1.0]))
            event = Event(kind, first, first + points)
            found[event.start : event.stop, copy] = KINDS[kind](values, Place(*event[1:], season, size))
            events.append((copy, event))
    return Copies(found, events, start, stop)


def moving_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of `width` values about each, fewer at the ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - width // 2, 0), np.minimum(places + (width + 1) // 2, len(values))
    return (sums[high] - sums[low]) / (high - low)
