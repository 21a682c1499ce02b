"""Pairs as a data set for sequence-to-sequence models: splits, vocabularies of the training set, arrays."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Self

import jax.numpy as jnp
import numpy as np

from rnn_jax.data.bucketing import Buckets, bucket_lengths
from rnn_jax.data.examples import Examples
from rnn_jax.data.padding import pad
from rnn_jax.data.pairs import PairSplits, Referenced, Words, with_references
from rnn_jax.data.vocabulary import Vocabulary


@dataclasses.dataclass(frozen=True, eq=False)
class PairCorpus:
    """Pairs of a source and a target by split, with the vocabularies of the training set.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> pairs = [(tuple(str(n)), tuple(f"{2 * n}")) for n in range(20)]  # each number, and its double
    >>> splits = data.split_by_source(pairs, validation=2, test=3, rng=np.random.default_rng(0))
    >>> corpus = data.PairCorpus.of(splits)
    >>> [len(split) for split in corpus.splits], corpus.longest
    ([15, 2, 3], (2, 3))
    >>> (bucket,) = corpus.buckets(1)
    >>> bucket.steps["source"].shape, bucket.whole["target"].shape
    ((2, 15), (15,))

    Args:
      splits: pairs of tokens by split.
      source: vocabulary of the sources.
      target: vocabulary of the targets.
    """

    splits: PairSplits
    source: Vocabulary
    target: Vocabulary

    @classmethod
    def of(cls, splits: PairSplits, min_count: int = 1, **fields: Any) -> Self:
        """Builds the vocabularies of the training set.

        Args:
          splits: pairs of tokens by split.
          min_count: smallest number of occurrences of a token in the training set.
          **fields: further fields of a subclass.

        Raises:
          ValueError: as `Vocabulary.of`.
        """
        source, target = (Vocabulary.of(side, min_count) for side in zip(*splits.training, strict=True))
        return cls(splits, source, target, **fields)

    @functools.cached_property
    def tested(self) -> list[Referenced]:
        """Sources of the test set."""
        return with_references(self.splits.test)

    @functools.cached_property
    def unseen(self) -> list[int]:
        """Indices of the tested sources none of whose references is a target of the training set."""
        known = {target for _, target in self.splits.training}
        return [place for place, item in enumerate(self.tested) if not known & set(item.references)]

    @property
    def longest(self) -> tuple[int, int]:
        """Tokens of the longest source and of the longest target, END included, over all splits."""
        pairs = [pair for split in self.splits for pair in split]
        return max(len(source) for source, _ in pairs), max(len(target) for _, target in pairs) + 1

    def examples(
        self, pairs: Sequence[tuple[Words, Words]], longest: tuple[int | None, int | None] = (None, None)
    ) -> Examples:
        """Returns pairs as arrays: steps source [S, N] and target [T, N] with END, whole their lengths [N].

        Args:
          pairs: source and target of N pairs.
          longest: S and T; None means the length of the longest sequence.
        """
        source = pad([self.source.encode(pair[0]) for pair in pairs], longest[0])
        target = pad([self.target.encode(pair[1], end=True) for pair in pairs], longest[1])
        steps, whole = (
            {"source": jnp.asarray(s), "target": jnp.asarray(t)} for s, t in zip(source, target, strict=True)
        )
        return Examples(steps, whole)

    def buckets(self, count: int) -> list[Examples]:
        """Returns the training set in `count` buckets or fewer, each padded to its longest pair."""
        pairs = self.splits.training
        lengths = np.array([max(len(source), len(target) + 1) for source, target in pairs])
        members = Buckets(bucket_lengths(lengths, count)).members(lengths)
        return [self.examples([pairs[place] for place in places]) for places in members]
