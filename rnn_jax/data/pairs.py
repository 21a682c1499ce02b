"""Pairs of sentences, as a translation is learnt from: read from a file, split into words, split by source."""

import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax import checks
from rnn_jax.data.text import read_text

Words = tuple[str, ...]

_WORD = re.compile(r"\d+(?:[.,:]\d+)+|\w+(?:['\u2019-]\w+)*|[^\w\s]")
_BEFORE = set(".,!?;:%)]}\u2026\u00bb\u201d\u201c")  # stand at the word before them
_AFTER = set("([{\u00ab\u201e\u201a$\u20ac\u00a3")  # at the word after them


class Pair(NamedTuple):
    """A sentence and its translation, as they stand in the file."""

    source: str
    target: str


def read_pairs(path: str | Path, columns: tuple[int, int] = (1, 2)) -> list[Pair]:
    """The pairs of a UTF-8 file with one a line, its columns parted by tabs, as tatoeba.org's from manythings.org.

    Args:
      path: of the file. Columns not asked for, such as an attribution, are ignored; blank lines too.
      columns: of source and target, counted from 1.

    Raises:
      ValueError: with path and line, where the file cannot be read, is not UTF-8 or holds no pair, a line has too few
        columns, or a side is empty; where columns are not two different positive integers.
    """
    for name, column in zip(Pair._fields, columns, strict=True):
        checks.integer_at_least(1, column, f"read_pairs: the {name} column")
    if columns[0] == columns[1]:
        raise ValueError(f"read_pairs: source and target must be two columns, got {columns[0]} for both")
    pairs = []
    # Not `splitlines`, that ends a line at characters which may stand in a sentence.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        parts = line.split("\t")
        if len(parts) < max(columns):
            raise ValueError(
                f"{path}, line {number}: must have {max(columns)} columns parted by tabs, got {len(parts)}: "
                f"{line[:60]!r}"
            )
        pair = Pair(*(parts[column - 1].strip() for column in columns))
        for name, side in pair._asdict().items():
            if not side:
                raise ValueError(f"{path}, line {number}: the {name} must not be empty, got {line[:60]!r}")
        pairs.append(pair)
    if not pairs:
        raise ValueError(f"{path}: must hold pairs of sentences, got blank lines alone")
    return pairs


def words(sentence: str) -> Words:
    """The words of a sentence: NFC, lower case, every punctuation mark a word of its own.

    Words keep apostrophes and hyphens inside (don't, well-known), numbers their points, commas and colons (7:30).
    """
    return tuple(_WORD.findall(unicodedata.normalize("NFC", sentence).lower()))


def sentence(words: Sequence[str]) -> str:
    """Words as a sentence, the punctuation back where it belongs: what is scored and read."""
    text, glued, quotes = "", True, 0
    for word in words:
        opening = word in _AFTER or (word == '"' and quotes % 2 == 0)
        closing = word in _BEFORE or (word == '"' and quotes % 2 == 1)
        quotes += word == '"'
        text += word if glued or (closing and not opening) else f" {word}"
        glued = opening
    return text


class PairSplits(NamedTuple):
    """Pairs of words for training, and those that are kept from it."""

    training: list[tuple[Words, Words]]
    validation: list[tuple[Words, Words]]
    test: list[tuple[Words, Words]]


def split_by_source(
    pairs: Sequence[tuple[Words, Words]], validation: int, test: int, rng: np.random.Generator
) -> PairSplits:
    """PairSplits of which no two share a source; duplicates of a pair are removed.

    Two sources are one where they differ in punctuation alone. All translations of a source are in its part, so that
    there they are its references. A *target* may stand in two parts, by way of two sources.

    Args:
      pairs: source and target, each as tuples of words.
      validation: sources to be drawn for the validation part.
      test: likewise for the test part.
      rng: draws them.

    Raises:
      ValueError: where a number is not a positive integer, or no source is left to train on.
    """
    for name, count in (("validation", validation), ("test", test)):
        checks.integer_at_least(1, count, f"split_by_source: {name}")
    groups: dict[Words, list[tuple[Words, Words]]] = {}
    for pair in dict.fromkeys(pairs):
        groups.setdefault(_bare(pair[0]), []).append(pair)
    if len(groups) <= validation + test:
        raise ValueError(
            f"split_by_source: {len(groups)} different sources leave none to train on beside {validation} for "
            f"validation and {test} for test"
        )
    listed = list(groups.values())
    order = rng.permutation(len(listed))
    cuts = (order[test + validation :], order[test : test + validation], order[:test])
    # In the order of the pairs given, which the order of groups drawn is not.
    return PairSplits(*([pair for place in np.sort(part) for pair in listed[place]] for part in cuts))


def _bare(words: Words) -> Words:
    """Without punctuation; a source of nothing else is itself."""
    return tuple(word for word in words if any(map(str.isalnum, word))) or words
