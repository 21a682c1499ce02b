"""Pairs of sentences for translation: reading a file, cutting into words, splitting and grouping by source."""

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
_BEFORE = set(".,!?;:%)]}\u2026\u00bb\u201d\u201c")  # no blank before these
_AFTER = set("([{\u00ab\u201e\u201a$\u20ac\u00a3")  # no blank after these


class Pair(NamedTuple):
    """A sentence and its translation, as written in the file."""

    source: str
    target: str


def read_pairs(path: str | Path, columns: tuple[int, int] = (1, 2)) -> list[Pair]:
    r"""Reads a file with one pair per line and tab-separated columns, such as those of manythings.org (tatoeba.org).

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "deu.txt"
    >>> _ = path.write_text("Go.\tGeh.\tCC-BY\nHi.\tHallo!\tCC-BY\n")
    >>> data.read_pairs(path)
    [Pair(source='Go.', target='Geh.'), Pair(source='Hi.', target='Hallo!')]

    Args:
      path: file in UTF-8. Other columns, such as an attribution, and blank lines are ignored.
      columns: columns of source and target, counted from 1.

    Returns:
      The pairs in the order of the file.

    Raises:
      ValueError: with path and line, if the file cannot be read, is not UTF-8 or holds no pair, a line has too few
        columns, or a side is empty; if columns are not two different positive integers.
    """
    for name, column in zip(Pair._fields, columns, strict=True):
        checks.integer_at_least(1, column, f"read_pairs: the {name} column")
    if columns[0] == columns[1]:
        raise ValueError(f"read_pairs: source and target must be two columns, got {columns[0]} for both")
    pairs = []
    # Not `splitlines`, which also ends lines at characters that may be part of a sentence.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        cells = line.split("\t")
        if len(cells) < max(columns):
            raise ValueError(
                f"{path}, line {number}: must have {max(columns)} tab-separated columns, got {len(cells)}: "
                f"{line[:60]!r}"
            )
        pair = Pair(*(cells[column - 1].strip() for column in columns))
        for name, side in pair._asdict().items():
            if not side:
                raise ValueError(f"{path}, line {number}: the {name} must not be empty, got {line[:60]!r}")
        pairs.append(pair)
    if not pairs:
        raise ValueError(f"{path}: must hold pairs of sentences, got blank lines only")
    return pairs


def words(sentence: str) -> Words:
    """Returns the words of a sentence in NFC and lower case; every punctuation mark is a word.

    Words keep inner apostrophes and hyphens (don't, well-known), numbers keep points, commas and colons (7:30).

    >>> from rnn_jax import data
    >>> data.words("Don't go before 7:30!")
    ("don't", 'go', 'before', '7:30', '!')
    """
    return tuple(_WORD.findall(unicodedata.normalize("NFC", sentence).lower()))


def sentence(words: Sequence[str]) -> str:
    """Joins words to a sentence, without blanks before punctuation: the inverse of `words` but for upper case.

    >>> from rnn_jax import data
    >>> data.sentence(("don't", "go", "before", "7:30", "!"))
    "don't go before 7:30!"
    """
    text, glued, quotes = "", True, 0
    for word in words:
        opening = word in _AFTER or (word == '"' and quotes % 2 == 0)
        closing = word in _BEFORE or (word == '"' and quotes % 2 == 1)
        quotes += word == '"'
        text += word if glued or (closing and not opening) else f" {word}"
        glued = opening
    return text


class PairSplits(NamedTuple):
    """Pairs of a training set, a validation set and a test set."""

    training: list[tuple[Words, Words]]
    validation: list[tuple[Words, Words]]
    test: list[tuple[Words, Words]]


def split_by_source(
    pairs: Sequence[tuple[Words, Words]], validation: int, test: int, rng: np.random.Generator
) -> PairSplits:
    """Splits pairs at random so that no two splits share a source; removes duplicate pairs.

    Sources that differ only in punctuation count as the same. All translations of a source are in the same split and
    serve as its references. A *target* may be in two splits if it translates two sources.

    Args:
      pairs: source and target of each pair, both tuples of words.
      validation: number of sources in the validation set.
      test: number of sources in the test set.
      rng: generator that draws them.

    Raises:
      ValueError: if a number is not a positive integer, or no source is left for training.
    """
    for name, count in (("validation", validation), ("test", test)):
        checks.integer_at_least(1, count, f"split_by_source: {name}")
    groups: dict[Words, list[tuple[Words, Words]]] = {}
    for pair in dict.fromkeys(pairs):
        groups.setdefault(bare(pair[0]), []).append(pair)
    if len(groups) <= validation + test:
        raise ValueError(
            f"split_by_source: {len(groups)} different sources leave none for training after {validation} for "
            f"validation and {test} for test"
        )
    by_source = list(groups.values())
    order = rng.permutation(len(by_source))
    splits = (order[test + validation :], order[test : test + validation], order[:test])
    # Sorted, so that each split keeps the order of the pairs given.
    return PairSplits(*([pair for i in np.sort(split) for pair in by_source[i]] for split in splits))


class Referenced(NamedTuple):
    """A source and all its translations, which a score compares a translation with."""

    source: Words
    references: tuple[Words, ...]


def with_references(pairs: Sequence[tuple[Words, Words]]) -> list[Referenced]:
    """Returns every source of some pairs once, with its targets, both in the order of the pairs.

    >>> from rnn_jax import data
    >>> data.with_references([(("hi",), ("hallo",)), (("hi",), ("hei",))])
    [Referenced(source=('hi',), references=(('hallo',), ('hei',)))]
    """
    targets: dict[Words, list[Words]] = {}
    for source, target in pairs:
        targets.setdefault(source, []).append(target)
    return [Referenced(source, tuple(references)) for source, references in targets.items()]


def bare(words: Words) -> Words:
    """Returns the words without punctuation, or all of them if there is nothing else."""
    return tuple(word for word in words if any(map(str.isalnum, word))) or words
