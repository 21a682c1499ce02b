"""What is translated: the pairs kept and split, the vocabularies of the training part, the arrays of each part."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.translation.dates import dates
from rnn_jax.data import Buckets, Examples, Vocabulary, bucket_lengths, pad
from rnn_jax.data.pairs import PairSplits, Words, read_pairs, sentence, split_by_source, words

DATES = 24_000


class Item(NamedTuple):
    """A source and all its translations in its part."""

    source: Words
    references: tuple[Words, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """The pairs of a run."""

    name: str
    by_words: bool  # else by characters
    read: int  # pairs of the file, or made
    kept: int  # that are short enough
    parts: PairSplits
    source: Vocabulary
    target: Vocabulary

    def text(self, tokens: Sequence[str]) -> str:
        """Tokens as they are read and scored."""
        return sentence(tokens) if self.by_words else "".join(tokens)

    @property
    def longest(self) -> tuple[int, int]:
        """Tokens of the longest source and, END counted in, target of all parts."""
        pairs = [pair for part in self.parts for pair in part]
        return max(len(source) for source, _ in pairs), max(len(target) for _, target in pairs) + 1


def of_file(
    path: str,
    columns: tuple[int, int],
    most: int,
    limit: int | None,
    min_count: int,
    kept_out: tuple[int, int],
    seed: int,
) -> Corpus:
    """Pairs of sentences of at most `most` words a side.

    Args:
      path: of a file with one pair a line.
      columns: of source and target, counted from 1.
      most: words, punctuation marks counted in.
      limit: pairs that are drawn of these; None means all.
      min_count: times that a word must come in the training part to have an id.
      kept_out: sources of the validation and of the test part.
      seed: of the draws.

    Raises:
      ValueError: where the file cannot be read, or has too few pairs.
    """
    pairs = [(words(source), words(target)) for source, target in read_pairs(path, columns)]
    short = [pair for pair in pairs if 0 < len(pair[0]) <= most and 0 < len(pair[1]) <= most]
    if not short:
        raise ValueError(f"{path}: no pair has at most {most} words a side")
    rng = np.random.default_rng(seed)
    if limit is not None and limit < len(short):
        short = [short[place] for place in np.sort(rng.choice(len(short), limit, replace=False))]
    return _corpus(path, True, len(pairs), short, min_count, kept_out, rng)


def of_dates(kept_out: tuple[int, int], limit: int | None, seed: int) -> Corpus:
    """Dates, by characters; arguments as `of_file`'s."""
    rng = np.random.default_rng(seed)
    made = dates(DATES if limit is None else limit, rng)
    return _corpus("dates", False, len(made), [(tuple(a), tuple(b)) for a, b in made], 1, kept_out, rng)


def _corpus(
    name: str,
    by_words: bool,
    read: int,
    pairs: list[tuple[Words, Words]],
    min_count: int,
    kept_out: tuple[int, int],
    rng: np.random.Generator,
) -> Corpus:
    parts = split_by_source(pairs, *kept_out, rng)
    source, target = (Vocabulary.of([pair[side] for pair in parts.training], min_count) for side in (0, 1))
    return Corpus(name, by_words, read, len(pairs), parts, source, target)


def items(part: Sequence[tuple[Words, Words]]) -> list[Item]:
    """Every source once, with its translations."""
    found: dict[Words, list[Words]] = {}
    for source, target in part:
        found.setdefault(source, []).append(target)
    return [Item(source, tuple(targets)) for source, targets in found.items()]


def buckets(corpus: Corpus, count: int) -> list[Examples]:
    """The training part as arrays, padded to a few lengths."""
    lengths = np.array([max(len(source), len(target) + 1) for source, target in corpus.parts.training])
    found = []
    for members in Buckets(bucket_lengths(lengths, count)).members(lengths):
        found.append(examples(corpus, [corpus.parts.training[place] for place in members]))
    return found


def examples(
    corpus: Corpus, pairs: Sequence[tuple[Words, Words]], longest: tuple[int | None, int | None] = (None, None)
) -> Examples:
    """Pairs as arrays.

    Args:
      corpus: gives the vocabularies.
      pairs: source and target.
      longest: S and T to pad to; None means the longest.

    Returns:
      steps source [S, N] and target [T, N] with END; whole source and target, their lengths [N].
    """
    source = pad([corpus.source.encode(pair[0]) for pair in pairs], longest[0])
    target = pad([corpus.target.encode(pair[1], end=True) for pair in pairs], longest[1])
    return Examples(
        {"source": jnp.asarray(source.values), "target": jnp.asarray(target.values)},
        {"source": jnp.asarray(source.lengths), "target": jnp.asarray(target.lengths)},
    )
