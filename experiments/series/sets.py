"""Labelled series of a run: read or generated, split, standardised on the training set, padded to buckets."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common import splits
from experiments.common.flags import UserError
from rnn_jax.data import Buckets, Examples, LabelledSeries, pad
from rnn_jax.data.stratified import split_indices
from rnn_jax.data.text import SPLITS, check_shares


class Split(NamedTuple):
    """Standardised series of a split, and the same as arrays in buckets."""

    labelled: LabelledSeries
    buckets: list[Examples]  # steps: values [T, n, channels]; whole: (lengths [n], labels [n])
    order: np.ndarray  # index in `labelled` of each series, bucket after bucket [N]

    @property
    def labels(self) -> np.ndarray:
        """Class of each series [N]."""
        return self.labelled.labels


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Data of a run."""

    source: str  # description
    splits: dict[str, Split]
    repeated: dict[str, int]  # series that a later split has, too, by split
    mean: np.ndarray  # of each channel in the training set, before it was standardised
    deviation: np.ndarray

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.splits["training"].labelled.classes

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels."""
        return self.splits["training"].labelled.channels

    @property
    def longest(self) -> int:
        """Steps of the longest series."""
        return max(map(len, self._values))

    @property
    def _values(self) -> list[np.ndarray]:
        return [values for split in self.splits.values() for values in split.labelled.values]

    @property
    def note(self) -> str:
        """Sentences about channels, lengths, interpolated values and repetitions."""
        filled = sum(int(split.labelled.filled.sum()) for split in self.splits.values())
        names = f"channels ({len(self.channels)}): {', '.join(self.channels):.60}"
        interpolated = f"; missing values interpolated: {filled:,}" * (filled > 0)
        repeated = f" {splits.repeats_note(self.repeated, 'series')}" * any(self.repeated.values())
        return f"{names}; {min(map(len, self._values))} to {self.longest} steps{interpolated}.{repeated}"


def divide(everything: LabelledSeries, shares: list[float], seed: int) -> dict[str, LabelledSeries]:
    """Splits series at random into training, validation and test set, with the same share of each class.

    Raises:
      ValueError: if shares are not three positive numbers with the sum 1, or a class has fewer than three series.
    """
    check_shares(shares, "--split")
    return dict(zip(SPLITS, _parts(everything, shares, seed), strict=True))


def with_validation(given: Mapping[str, LabelledSeries], shares: list[float], seed: int) -> dict[str, LabelledSeries]:
    """Returns splits whose validation set is drawn from the training set, if there is none.

    Raises:
      ValueError: if shares are not three positive numbers with the sum 1, or a class has fewer than two series.
    """
    if "validation" in given:
        return dict(given)
    training, validation = _parts(given["training"], splits.shares_of_training(shares), seed)
    return {"training": training, "validation": validation, "test": given["test"]}


def _parts(series: LabelledSeries, shares: list[float], seed: int) -> list[LabelledSeries]:
    used = np.unique(series.labels)
    classes, labels = [series.classes[label] for label in used], np.searchsorted(used, series.labels)
    keys = [_key(values) for values in series.values]
    parts = split_indices(keys, labels, classes, shares, seed, "--split", "series")
    return [series.take(indices) for indices in parts]


def _key(values: np.ndarray) -> tuple[int, bytes]:
    return len(values), values.tobytes()


def prepare(source: str, read: Mapping[str, LabelledSeries], buckets: int) -> Data:
    """Returns series standardised channel by channel on the training set, in buckets.

    Args:
      source: description.
      read: series by split.
      buckets: number of lengths to pad to.

    Raises:
      UserError: if the training set has one class only or a constant channel, or another split has other channels or a
        class that the training set lacks.
    """
    training = read["training"]
    names = sorted(set(training.names), key=training.classes.index)
    if len(names) < 2:
        raise UserError(f"{training.places[0]}: training set must have series of two classes, got only {names[0]!r}")
    for each in read.values():
        _check(each, names, training)
    steps = np.concatenate(training.values)
    for index in np.flatnonzero(np.ptp(steps, axis=0) == 0):
        raise UserError(
            f"{training.places[0]}: channel {training.channels[index]!r} must vary in the training set, got "
            f"{steps[0, index]:g} in every step of all its series; remove it"
        )
    with np.errstate(over="ignore"):
        mean, deviation = steps.mean(axis=0), steps.std(axis=0)
    if not np.isfinite(deviation).all():
        raise UserError(f"{training.places[0]}: values must be small enough for their square, got {steps.max():g}")
    repeated = splits.repeats({name: each.values for name, each in read.items()}, _key)
    made = {}
    for name, each in read.items():
        values = [((one - mean) / deviation).astype(np.float32) for one in each.values]
        labelled = LabelledSeries.of(values, each.names, each.channels, each.places, each.filled, names)
        made[name] = _in_buckets(labelled, buckets)
    return Data(source, made, repeated, mean, deviation)


def _check(series: LabelledSeries, names: list[str], training: LabelledSeries) -> None:
    """Raises a UserError if series have other channels than the training set, or a class that it lacks."""
    if series.channels != training.channels:
        raise UserError(
            f"{series.places[0]}: must have the channels {', '.join(training.channels):.100} of the training set, got "
            f"{', '.join(series.channels):.100}"
        )
    for name, place in zip(series.names, series.places, strict=True):
        if name not in names:
            raise UserError(f"{place}: class {name!r} must be in the training set, which has {', '.join(names):.100}")


def _in_buckets(labelled: LabelledSeries, count: int) -> Split:
    values = [np.asarray(each, np.float32) for each in labelled.values]
    members = Buckets.of(values, count).members([len(each) for each in values])
    buckets = []
    for indices in members:
        padded = pad([values[i] for i in indices])
        whole = jnp.asarray(padded.lengths), jnp.asarray(labelled.labels[indices])
        buckets.append(Examples(jnp.asarray(padded.values), whole))
    return Split(labelled, buckets, np.concatenate(members))
