"""Pairs to translate: sentences of a file by words, or generated dates by characters."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from rnn_jax import data

DATES = 24_000


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus(data.PairCorpus):
    """Data of a run."""

    name: str
    by_words: bool  # else by characters
    read: int  # number of pairs in the file, or generated
    kept: int  # number of those that are short enough
    count: int  # number of buckets

    def text(self, tokens: Sequence[str]) -> str:
        """Returns tokens as text."""
        return data.sentence(tokens) if self.by_words else "".join(tokens)

    @functools.cached_property
    def training(self) -> list[data.Examples]:
        """Training set in buckets."""
        return self.buckets(self.count)

    @property
    def token(self) -> str:
        """What a token is."""
        return "word" if self.by_words else "character"

    @property
    def score(self) -> tuple[str, str, float]:
        """The main score: its field in a record, its name, and its factor in tables."""
        return ("bleu", "BLEU", 1.0) if self.by_words else ("exact", "% exact", 100.0)


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
    least = config.min_count if by_words else 1
    fields = {"by_words": by_words, "read": len(read), "kept": len(pairs), "count": config.buckets}
    return Corpus.of(pairs, config.validation, config.test, rng, least, name=config.data or "dates", **fields)
