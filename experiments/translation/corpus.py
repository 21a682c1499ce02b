"""Pairs to translate: splits, vocabularies of the training set, arrays."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from rnn_jax import data
from rnn_jax.data import Buckets, Examples, PairSplits, Referenced, Vocabulary, pad
from rnn_jax.data.pairs import Words

DATES = 24_000


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """Data of a run."""

    name: str
    by_words: bool  # else by characters
    read: int  # number of pairs in the file, or generated
    kept: int  # number of those that are short enough
    splits: PairSplits
    source: Vocabulary
    target: Vocabulary
    buckets: list[Examples] = dataclasses.field(default_factory=list)  # training set

    def text(self, tokens: Sequence[str]) -> str:
        """Returns tokens as text."""
        return data.sentence(tokens) if self.by_words else "".join(tokens)

    @functools.cached_property
    def tested(self) -> list[Referenced]:
        """Sources of the test set."""
        return data.with_references(self.splits.test)

    @functools.cached_property
    def unseen(self) -> list[int]:
        """Indices of the tested sources none of whose references is a target of the training set."""
        known = {target for _, target in self.splits.training}
        return [place for place, item in enumerate(self.tested) if not known & set(item.references)]

    @property
    def score(self) -> tuple[str, str, float]:
        """The main score: its field in a record, its name, and its factor in tables."""
        return ("bleu", "BLEU", 1.0) if self.by_words else ("exact", "% exact", 100.0)

    @property
    def longest(self) -> tuple[int, int]:
        """Tokens of the longest source and of the longest target, END included, over all splits."""
        pairs = [pair for split in self.splits for pair in split]
        return max(len(source) for source, _ in pairs), max(len(target) for _, target in pairs) + 1

    def examples(
        self, pairs: Sequence[tuple[Words, Words]], longest: tuple[int | None, int | None] = (None, None)
    ) -> Examples:
        """Returns pairs as arrays: steps source [S, N] and target [T, N] with END, whole their lengths [N].

        S and T are `longest`, or the longest sequence's length for None.
        """
        source = pad([self.source.encode(pair[0]) for pair in pairs], longest[0])
        target = pad([self.target.encode(pair[1], end=True) for pair in pairs], longest[1])
        steps, whole = (
            {"source": jnp.asarray(s), "target": jnp.asarray(t)} for s, t in zip(source, target, strict=True)
        )
        return Examples(steps, whole)


def load(config: Any, columns: tuple[int, int]) -> Corpus:
    """Returns the corpus of `--data`, or dates by characters; sizes and seed are those of the config.

    Raises:
      ValueError: if the file cannot be read or has too few pairs.
    """
    rng, by_words, most = np.random.default_rng(config.seed), config.data is not None, config.max_words
    if by_words:
        read = [(data.words(a), data.words(b)) for a, b in data.read_pairs(config.data, columns)]
        pairs = [pair for pair in read if all(0 < len(side) <= most for side in pair)]
        if not pairs:
            raise ValueError(f"{config.data}: no pair has at most {most} words a side")
        if config.pairs is not None and config.pairs < len(pairs):
            pairs = [pairs[place] for place in np.sort(rng.choice(len(pairs), config.pairs, replace=False))]
    else:
        read = pairs = [(tuple(a), tuple(b)) for a, b in data.written_dates(config.pairs or DATES, rng)]
    splits = data.split_by_source(pairs, config.validation, config.test, rng)
    sides, least = zip(*splits.training, strict=True), config.min_count if by_words else 1
    source, target = (Vocabulary.of(side, least) for side in sides)
    corpus = Corpus(config.data or "dates", by_words, len(read), len(pairs), splits, source, target)
    lengths = np.array([max(len(source), len(target) + 1) for source, target in splits.training])
    for members in Buckets(data.bucket_lengths(lengths, config.buckets)).members(lengths):
        corpus.buckets.append(corpus.examples([splits.training[place] for place in members]))
    return corpus
