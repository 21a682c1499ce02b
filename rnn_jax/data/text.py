"""A long text to ids: read from a file, split, then encoded with a vocabulary of the training split."""

import codecs
import itertools
import math
import sysconfig
import tokenize
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax import checks, files
from rnn_jax.data.vocabulary import Vocabulary

SPLITS = ("training", "validation", "test")
_SPLIT_NAMES = {"train": "training", "val": "validation", "valid": "validation", "dev": "validation"}


def read_text(path: str | Path) -> str:
    r"""Reads a UTF-8 file, with or without a byte order mark, in Unicode's composed form (NFC).

    Every line ending becomes a newline. In NFC é is one character, also where the file writes e and an accent, so that
    equal words are equal tokens.

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "text.txt"
    >>> _ = path.write_bytes("Grüß Gott\r\n".encode("utf-8-sig"))
    >>> data.read_text(path)
    'Grüß Gott\n'

    Args:
      path: file in UTF-8.

    Raises:
      ValueError: with the path, and the line if there is one, if the file cannot be read, is not a UTF-8 text or is
        empty.
    """
    content = files.read_bytes(path)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(f"{path}: must be a UTF-8 text, got UTF-16 (`iconv -f utf-16 -t utf-8` converts it)")
    if (at := content.find(0)) >= 0:
        order = "le" if at % 2 else "be"
        kind = f"a binary file, or UTF-16 (`iconv -f utf-16{order} -t utf-8` converts it)"
        raise ValueError(f"{path}, line {_line(content, at)}: must be a UTF-8 text, got a zero byte at {at:,}: {kind}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = error.start
        raise ValueError(
            f"{path}, line {_line(content, at)}: must be a UTF-8 text, got byte {content[at]:#04x} at {at:,} "
            "(`iconv -f latin1 -t utf-8` converts from latin-1)"
        ) from error
    if not text:
        raise ValueError(f"{path}: must hold a text, got an empty file")
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))


def split_name(text: str, place: str) -> str:
    """Returns the split that a cell names, by one of the usual names; "" if the cell is empty.

    Raises:
      ValueError: with `place`, if it names none.
    """
    name = text.strip().casefold()
    split = _SPLIT_NAMES.get(name, name)
    if split not in ("", *SPLITS):
        raise ValueError(f"{place}: split must be training, validation or test, got {text!r:.80}")
    return split


def stated_splits(parts: Sequence[str], places: Sequence[str]) -> tuple[str, ...] | None:
    """Returns the split that each example's row names, or None if none of them names one.

    Raises:
      ValueError: with its place, if an example names none, but others do.
    """
    if not any(parts):
        return None
    for part, place in zip(parts, places, strict=True):
        if not part:
            raise ValueError(f"{place}: must name a split as the others do, got none")
    return tuple(parts)


def _line(content: bytes, position: int) -> int:
    """Returns the number of the line of a position, from 1; lines end with a newline, or with returns only."""
    before = content[:position]
    return 1 + (before.count(b"\n") or before.count(b"\r"))


def standard_library(characters: int, folder: str | Path | None = None) -> str:
    """Returns the first characters of the source of Python's standard library: real text without a download.

    The text is that of the top-level modules in alphabetical order, read from the running interpreter, so it depends on
    the version of Python. It has the PSF licence.

    Args:
      characters: number of characters; if there are fewer, all of them.
      folder: folder with the modules; None means that of the running interpreter.

    Raises:
      ValueError: if characters is not a positive integer, or the folder has no source.
    """
    checks.integer_at_least(1, characters, "standard_library: characters")
    folder = Path(sysconfig.get_path("stdlib") if folder is None else folder)
    text = ""
    for path in sorted(folder.glob("*.py")):
        if len(text) >= characters:
            break
        with tokenize.open(path) as file:  # in the encoding that the module declares
            text += file.read()
    if not text:
        raise ValueError(
            f"standard_library: {folder} has no module sources; some installations of Python come without them"
        )
    return text[:characters]


def split(text: str, shares: Sequence[float] = (0.9, 0.05, 0.05)) -> tuple[str, str, str]:
    """Splits a text into training, validation and test text: contiguous and in this order.

    >>> from rnn_jax import data
    >>> data.split("abcdefghij", (0.6, 0.2, 0.2))
    ('abcdef', 'gh', 'ij')

    Args:
      text: text.
      shares: fractions of training, validation and test, with the sum 1.

    Raises:
      ValueError: if shares are not three positive numbers with the sum 1, or a split would be empty.
    """
    check_shares(shares, "split")
    cuts = [0, round(len(text) * shares[0]), round(len(text) * (shares[0] + shares[1])), len(text)]
    training, validation, test = (text[start:stop] for start, stop in itertools.pairwise(cuts))
    for name, part in zip(SPLITS, (training, validation, test), strict=True):
        if not part:
            raise ValueError(f"split: a text of {len(text)} characters leaves none for the {name} set")
    return training, validation, test


def check_shares(shares: Sequence[float], who: str) -> None:
    """Raises a ValueError, prefixed by `who`, if shares are not three positive numbers with the sum 1."""
    if len(shares) != len(SPLITS):
        raise ValueError(f"{who}: shares must be {len(SPLITS)} numbers, of {', '.join(SPLITS)}, got {len(shares)}")
    for name, share in zip(SPLITS, shares, strict=True):
        checks.positive(share, f"{who}: the {name} share")
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError(f"{who}: shares must have the sum 1, got {sum(shares):g}")


class Corpus(NamedTuple):
    """The three splits of a text as ids, int32 [N] each, with the vocabulary of the training split.

    >>> from rnn_jax import data
    >>> corpus = data.Corpus.of("abab", "ba", "abc")
    >>> corpus.training.tolist(), corpus.test.tolist(), corpus.unknown["test"]
    ([4, 5, 4, 5], [4, 5, 1], 1)
    """

    vocabulary: Vocabulary
    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @classmethod
    def of(cls, training: str, validation: str, test: str) -> "Corpus":
        """Encodes the characters of three texts; a character that the training text does not have becomes UNKNOWN.

        Args:
          training: text of the training set, which defines the vocabulary.
          validation: text of the validation set.
          test: text of the test set.

        Raises:
          ValueError: if the training text has no character.
        """
        vocabulary = Vocabulary.of([training])
        return cls(vocabulary, *(vocabulary.encode(text) for text in (training, validation, test)))

    @property
    def unknown(self) -> dict[str, int]:
        """Number of characters of each split that are not in the vocabulary."""
        return {name: int(np.sum(getattr(self, name) == Vocabulary.UNKNOWN)) for name in SPLITS}
