"""Labelled time series: measurements of several channels with one class for each series, such as sensors or ECG."""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np


class LabelledSeries(NamedTuple):
    """N series and the class of each one.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> series = data.LabelledSeries.of([np.zeros((5, 2)), np.ones((3, 2))], ["walk", "run"], channels=("x", "y"))
    >>> series.classes, series.labels.tolist(), [len(values) for values in series.values]
    (('run', 'walk'), [1, 0], [5, 3])

    Attributes:
      values: measurements of each series, float64 [T, channels], finite; T differs between series.
      labels: index into `classes` of each series, int32 [N].
      classes: names of the classes.
      channels: names of the channels.
      places: file of each series, and line if the file has several, for messages.
      filled: number of interpolated values in each series, integers [N].
    """

    values: tuple[np.ndarray, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    places: tuple[str, ...]
    filled: np.ndarray

    @classmethod
    def of(
        cls,
        values: Sequence[np.ndarray],
        names: Sequence[str],
        channels: Sequence[str],
        places: Sequence[str] | None = None,
        filled: Sequence[int] | np.ndarray | None = None,
        classes: Sequence[str] | None = None,
    ) -> "LabelledSeries":
        """Builds labelled series from the name of each one's class.

        Args:
          values: measurements of each series [T, channels].
          names: name of the class of each series.
          channels: names of the channels.
          places: file and line of each series; None means "series 1" and so on.
          filled: number of interpolated values in each series; None means none.
          classes: names of all classes; None means those of the series, sorted.

        Raises:
          ValueError: if values, names and places differ in number, a class is not in `classes`, or a series is not
            finite numbers [T, channels] with T of at least 1.
        """
        places = [f"series {i}" for i in range(1, len(values) + 1)] if places is None else places
        if not len(values) == len(names) == len(places):
            raise ValueError(
                f"LabelledSeries.of: values, names and places must be as many, got {len(values)}, {len(names)}, "
                f"{len(places)}"
            )
        for place, each in zip(places, values, strict=True):
            if np.ndim(each) != 2 or np.shape(each)[1] != len(channels) or not len(each) or not np.isfinite(each).all():
                raise ValueError(
                    f"{place}: must be finite numbers [T, {len(channels)}] with T of at least 1, got shape "
                    f"{list(np.shape(each))}"
                )
        classes = tuple(sorted(set(names)) if classes is None else classes)
        if unknown := sorted(set(names) - set(classes)):
            raise ValueError(f"LabelledSeries.of: classes must hold {unknown[0]!r}, got {', '.join(classes):.100}")
        index = {name: i for i, name in enumerate(classes)}
        return cls(
            tuple(np.asarray(each, float) for each in values),
            np.array([index[name] for name in names], np.int32),
            classes,
            tuple(channels),
            tuple(places),
            np.zeros(len(values), int) if filled is None else np.asarray(filled, int),
        )

    @property
    def names(self) -> list[str]:
        """Name of the class of each series."""
        return [self.classes[label] for label in self.labels]

    def take(self, indices: Sequence[int] | np.ndarray) -> "LabelledSeries":
        """Returns the series at `indices`, with the same classes and channels."""
        indices = np.asarray(indices, int)
        return self._replace(
            values=tuple(self.values[i] for i in indices),
            labels=self.labels[indices],
            places=tuple(self.places[i] for i in indices),
            filled=self.filled[indices],
        )


def fill_gaps(
    values: np.ndarray, longest_gap: int, channels: Sequence[str], place: Callable[[int], str]
) -> tuple[np.ndarray, int]:
    """Interpolates missing values within each channel; at the start and the end the nearest value is repeated.

    A series is classified when it has ended, so that a value may depend on later ones.

    Args:
      values: measurements [T, channels], NaN for a missing one.
      longest_gap: largest number of consecutive missing values.
      channels: names of the channels.
      place: function from a step to its file and line.

    Returns:
      The measurements without gaps, and the number of interpolated values.

    Raises:
      ValueError: if a channel has no value, or a gap is longer.
    """
    missing = np.isnan(values)
    if not missing.any():
        return values, 0
    filled, steps = values.copy(), range(len(values))
    for channel in np.flatnonzero(missing.any(axis=0)).tolist():
        name, gaps = channels[channel], missing[:, channel]
        if gaps.all():
            raise ValueError(f"{place(0)}: channel {name!r} must have a value, got missing ones only")
        for is_gap, group in itertools.groupby(steps, key=lambda step: bool(gaps[step])):
            gap = list(group)
            if is_gap and len(gap) > longest_gap:
                raise ValueError(
                    f"{place(gap[0])}: channel {name!r} is missing in {len(gap)} step{'s' * (len(gap) > 1)}; gaps of "
                    f"up to {longest_gap} steps are filled"
                )
        filled[gaps, channel] = np.interp(np.flatnonzero(gaps), np.flatnonzero(~gaps), values[~gaps, channel])
    return filled, int(missing.sum())
