"""Pairs to translate: reading, splits, vocabularies of the training set, arrays; and generated dates."""

import dataclasses
import datetime
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from rnn_jax.data import Buckets, Examples, Vocabulary, bucket_lengths, pad
from rnn_jax.data.pairs import PairSplits, Words, read_pairs, sentence, split_by_source, words

DATES = 24_000
FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
# Not those of the `calendar` module, which depend on the locale.
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FORMATS = (
    lambda d: f"{d.day} {MONTHS[d.month - 1]} {d.year}",
    lambda d: f"{MONTHS[d.month - 1][:3]}. {d.day}{_suffix(d.day)}, {d.year}",
    lambda d: f"the {d.day}{_suffix(d.day)} of {MONTHS[d.month - 1]}, {d.year}",
    lambda d: f"{DAYS[d.weekday()]}, {MONTHS[d.month - 1]} {d.day}, {d.year}",
    lambda d: f"{d.day:02}.{d.month:02}.{d.year}",
    lambda d: f"{d.day}. {d.month}. {d.year}",
    lambda d: f"{d.month}/{d.day}/{d.year}",
    lambda d: f"{d.year}, {MONTHS[d.month - 1]} {d.day}",
)


class Item(NamedTuple):
    """A source and all its translations in its split."""

    source: Words
    references: tuple[Words, ...]


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
        return sentence(tokens) if self.by_words else "".join(tokens)

    @property
    def longest(self) -> tuple[int, int]:
        """Tokens of the longest source and of the longest target, END included, over all splits."""
        pairs = [pair for split in self.splits for pair in split]
        return max(len(source) for source, _ in pairs), max(len(target) for _, target in pairs) + 1


def load(config: Any, columns: tuple[int, int]) -> Corpus:
    """Returns the corpus of `--data`, or dates by characters; sizes and seed are those of the config.

    Raises:
      ValueError: if the file cannot be read or has too few pairs.
    """
    rng = np.random.default_rng(config.seed)
    if config.data is None:
        pairs = [(tuple(a), tuple(b)) for a, b in dates(config.pairs or DATES, rng)]
        return _corpus(config, "dates", len(pairs), pairs, rng)
    read, most = [(words(a), words(b)) for a, b in read_pairs(config.data, columns)], config.max_words
    pairs = [pair for pair in read if 0 < len(pair[0]) <= most and 0 < len(pair[1]) <= most]
    if not pairs:
        raise ValueError(f"{config.data}: no pair has at most {most} words a side")
    if config.pairs is not None and config.pairs < len(pairs):
        pairs = [pairs[place] for place in np.sort(rng.choice(len(pairs), config.pairs, replace=False))]
    return _corpus(config, config.data, len(read), pairs, rng)


def _corpus(config: Any, name: str, read: int, pairs: list[tuple[Words, Words]], rng: np.random.Generator) -> Corpus:
    by_words = config.data is not None
    splits = split_by_source(pairs, config.validation, config.test, rng)
    least = config.min_count if by_words else 1
    source, target = (Vocabulary.of([pair[side] for pair in splits.training], least) for side in (0, 1))
    corpus = Corpus(name, by_words, read, len(pairs), splits, source, target)
    lengths = np.array([max(len(source), len(target) + 1) for source, target in splits.training])
    for members in Buckets(bucket_lengths(lengths, config.buckets)).members(lengths):
        corpus.buckets.append(examples(corpus, [splits.training[place] for place in members]))
    return corpus


def items(split: Sequence[tuple[Words, Words]]) -> list[Item]:
    """Returns every source once, with its translations."""
    targets: dict[Words, list[Words]] = {}
    for source, target in split:
        targets.setdefault(source, []).append(target)
    return [Item(source, tuple(references)) for source, references in targets.items()]


def examples(
    corpus: Corpus, pairs: Sequence[tuple[Words, Words]], longest: tuple[int | None, int | None] = (None, None)
) -> Examples:
    """Returns pairs as arrays: steps source [S, N] and target [T, N] with END, whole their lengths [N].

    S and T are `longest`, or the longest sequence's length for None.
    """
    source = pad([corpus.source.encode(pair[0]) for pair in pairs], longest[0])
    target = pad([corpus.target.encode(pair[1], end=True) for pair in pairs], longest[1])
    return Examples(
        {"source": jnp.asarray(source.values), "target": jnp.asarray(target.values)},
        {"source": jnp.asarray(source.lengths), "target": jnp.asarray(target.lengths)},
    )


def dates(count: int, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Returns different dates, each in a random format and as YYYY-MM-DD; as none repeats, a test set is all new.

    Raises:
      ValueError: if there are not so many.
    """
    span = (LAST - FIRST).days + 1
    if count > span:
        raise ValueError(f"there are {span:,} dates from {FIRST} to {LAST}, got {count:,} asked for")
    pairs = []
    for place, form in zip(rng.choice(span, count, replace=False), rng.integers(len(FORMATS), size=count), strict=True):
        date = FIRST + datetime.timedelta(int(place))
        pairs.append((FORMATS[form](date), date.isoformat()))
    return pairs


def _suffix(day: int) -> str:
    return "th" if 11 <= day <= 13 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
