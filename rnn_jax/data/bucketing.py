"""Sequences of different lengths in batches of a few static shapes, so that `jax.jit` compiles only a few programs."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, integers
from rnn_jax.data import padding
from rnn_jax.data.examples import Examples
from rnn_jax.static import Static


class BucketBatch(NamedTuple):
    """One batch, time-major. A column without a sequence, a filler, has length 0.

    `labels[indices]` reads an arbitrary label for a filler: multiply its loss by `indices >= 0`.
    """

    values: np.ndarray  # [T, B, ...], zeros after a sequence's end
    lengths: np.ndarray  # int32 [B], 0 for a filler
    indices: np.ndarray  # int32 [B], index of each sequence in the list given, -1 for a filler


@dataclasses.dataclass(frozen=True)
class Buckets(Static):
    """A few static lengths; each sequence is padded to the shortest one that holds it.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> sequences = [np.arange(n) for n in (3, 9, 4, 10, 2)]
    >>> buckets = data.Buckets.of(sequences, 2)  # the two lengths with the least padding
    >>> buckets
    Buckets(lengths=(4, 10))
    >>> [batch.values.shape for batch in buckets.batches(sequences, batch_size=2)]
    [(4, 2), (4, 2), (10, 2)]

    Args:
      lengths: lengths of the buckets, strictly increasing, at least 1.

    Raises:
      TypeError: if lengths is not a tuple.
      ValueError: if lengths is empty, not strictly increasing, or holds anything but positive integers.
    """

    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.lengths, tuple):
            raise TypeError(f"Buckets: lengths must be a tuple of integers, got {type(self.lengths).__name__}")
        if not self.lengths:
            raise ValueError("Buckets: lengths must hold at least one length, got none")
        for i, length in enumerate(self.lengths):
            checks.integer_at_least(1, length, f"Buckets: lengths[{i}]")
            if i and length <= self.lengths[i - 1]:
                raise ValueError(f"Buckets: lengths must be strictly increasing, got {self.lengths}")

    @classmethod
    def of(cls, sequences: Sequence[Any], count: int) -> "Buckets":
        """Returns the at most `count` buckets with the least padding for these sequences.

        Args:
          sequences: arrays [n_i, ...], as for `batches`.
          count: largest number of buckets.

        Raises:
          TypeError: if sequences are not numbers or differ in dtype.
          ValueError: if there is no sequence, their trailing shapes differ, or count is not a positive integer.
        """
        return cls(bucket_lengths(_lengths(padding.ragged(sequences, "Buckets.of")), count))

    def batches(
        self, sequences: Sequence[Any], batch_size: int, rng: np.random.Generator | None = None
    ) -> Iterator[BucketBatch]:
        """Returns the batches of one epoch: every sequence once, all batches [bucket length, batch_size, ...].

        The last batch of each bucket is completed with fillers.

        Args:
          sequences: arrays [n_i, ...], all integer or all floating point, of one dtype and trailing shape.
          batch_size: number of columns, B.
          rng: generator that shuffles the sequences within their buckets and the batches of all buckets. None means the
            shortest bucket first and the sequences in the order given.

        Raises:
          TypeError: if sequences are not numbers or differ in dtype.
          ValueError: if batch_size is not a positive integer, there is no sequence, one is longer than the last bucket
            or has no time axis, or their trailing shapes differ.
        """
        checks.integer_at_least(1, batch_size, "Buckets.batches: batch_size")
        arrays = padding.ragged(sequences, "Buckets.batches")
        bucket_index = self._bucket_index(_lengths(arrays))
        order = np.arange(len(arrays)) if rng is None else rng.permutation(len(arrays))
        planned = []
        for bucket, length in enumerate(self.lengths):
            members = order[bucket_index[order] == bucket]
            planned += [(length, members[i : i + batch_size]) for i in range(0, len(members), batch_size)]
        if rng is not None:
            planned = [planned[i] for i in rng.permutation(len(planned))]
        # This method is not a generator itself, so that bad input raises at the call and not at the first batch.
        return (_batch(arrays, members, length, batch_size) for length, members in planned)

    def members(self, lengths: Any) -> list[np.ndarray]:
        """Returns for each bucket the indices of its sequences, integers [n]: they are padded together.

        Args:
          lengths: lengths of the sequences, integers [N].

        Raises:
          TypeError: if lengths are not integers.
          ValueError: if a sequence is longer than the last bucket.
        """
        bucket_index = self._bucket_index(np.asarray(integers.int32(lengths, "Buckets.members: lengths")))
        return [np.flatnonzero(bucket_index == bucket) for bucket in range(len(self.lengths))]

    def padding_share(self, sequences: Sequence[Any]) -> float:
        """Returns the fraction of padding among all steps of the sequences' columns, fillers not counted.

        Raises:
          TypeError, ValueError: as `batches`.
        """
        lengths = _lengths(padding.ragged(sequences, "Buckets.padding_share"))
        return 1 - float(lengths.sum() / np.array(self.lengths)[self._bucket_index(lengths)].sum())

    def _bucket_index(self, lengths: np.ndarray) -> np.ndarray:
        """Returns the index of the shortest bucket that holds each length."""
        longer = np.flatnonzero(lengths > self.lengths[-1])
        if longer.size:
            index = longer[0]
            raise ValueError(
                f"Buckets: sequence {index} must have at most {self.lengths[-1]} steps, the last bucket's length, "
                f"got {lengths[index]}"
            )
        return np.searchsorted(np.array(self.lengths), lengths)


def bucket_lengths(lengths: Any, count: int) -> tuple[int, ...]:
    """Returns the at most `count` bucket lengths with the least total padding (the exact optimum), increasing.

    Every bucket has at least one step, so a sequence of length 0 costs one step or more.

    >>> from rnn_jax import data
    >>> data.bucket_lengths([3, 9, 4, 10, 2], 2)
    (4, 10)

    Args:
      lengths: lengths of the sequences, integers [N], in any order.
      count: largest number of buckets.

    Raises:
      TypeError: if lengths are not integers.
      ValueError: if lengths is not [N] with N of at least 1, one is negative, or count is not a positive integer.
    """
    checks.integer_at_least(1, count, "bucket_lengths: count")
    if np.ndim(lengths) != 1 or not np.size(lengths):
        raise ValueError(f"bucket_lengths: lengths must be [N] with at least one length, got shape {np.shape(lengths)}")
    lengths = np.asarray(integers.int32(lengths, "bucket_lengths: lengths"))
    negative = np.flatnonzero(lengths < 0)
    if negative.size:
        index = negative[0]
        raise ValueError(f"bucket_lengths: lengths must be at least 0, got {lengths[index]} at {index}")
    # An optimal bucket is as long as its longest sequence, so the only candidates are the distinct lengths. Dynamic
    # programming over them, shortest first.
    distinct, counts = np.unique(np.maximum(lengths, 1), return_counts=True)
    count = min(count, len(distinct))
    covered = np.concatenate([[0], np.cumsum(counts)])  # sequences among the i shortest distinct lengths
    # steps[k, j]: fewest steps, padding included, of the j shortest distinct lengths in exactly k buckets; cut[k, j] of
    # these lengths lie below the last bucket. One more bucket never costs steps, so `count` buckets are best.
    steps = np.full((count + 1, len(distinct) + 1), np.inf)
    steps[0, 0] = 0
    cut = np.zeros(steps.shape, np.int64)
    for j, longest in enumerate(distinct, start=1):
        candidates = steps[:-1, :j] + (longest * (covered[j] - covered[:j]))[None]
        cut[1:, j] = np.argmin(candidates, axis=1)
        steps[1:, j] = np.min(candidates, axis=1)
    chosen: list[int] = []
    j = len(distinct)
    for k in range(count, 0, -1):
        chosen.insert(0, int(distinct[j - 1]))
        j = int(cut[k, j])
    return tuple(chosen)


def bucketed(sequences: Mapping[str, Sequence[Any]], lengths: tuple[int, ...]) -> tuple[list[Examples], np.ndarray]:
    """Pads sequences to the lengths of buckets.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> examples, order = data.bucketed({"ids": [np.arange(3), np.arange(1), np.arange(2)]}, lengths=(1, 3))
    >>> [example.steps["ids"].shape for example in examples], order.tolist()  # [T, n]
    ([(1, 1), (3, 2)], [1, 0, 2])

    Args:
      sequences: N sequences [n_i, ...] by name; those of one example have the same length under every name.
      lengths: lengths of the buckets; if a sequence is longer, there is one more bucket, as long as the longest.

    Returns:
      The examples of each bucket that has any (`steps`: arrays [T, n, ...] by name; `whole`: lengths [n]), and the
      indices [N] of the sequences in this order.
    """
    counts = [len(each) for each in next(iter(sequences.values()))]
    buckets = Buckets(lengths if max(counts) <= lengths[-1] else (*lengths, max(counts)))
    members = [chosen for chosen in buckets.members(counts) if len(chosen)]
    examples = []
    for chosen in members:
        padded = {name: padding.pad([each[index] for index in chosen]).values for name, each in sequences.items()}
        whole = jnp.asarray([counts[index] for index in chosen], jnp.int32)
        examples.append(Examples({name: jnp.asarray(values) for name, values in padded.items()}, whole))
    return examples, np.concatenate(members)


def _lengths(arrays: list[np.ndarray]) -> np.ndarray:
    return np.array([len(array) for array in arrays])


def _batch(arrays: list[np.ndarray], members: np.ndarray, length: int, batch_size: int) -> BucketBatch:
    fillers = batch_size - len(members)
    values, lengths = padding.pad([arrays[i] for i in members] + [arrays[0][:0]] * fillers, length)
    return BucketBatch(values, lengths, np.pad(members, (0, fillers), constant_values=-1).astype(np.int32))
