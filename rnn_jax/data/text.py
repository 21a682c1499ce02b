"""A long text to ids: read from a file, split, and only then encoded, so that what is tested on is not looked at."""

import itertools
import math
import sysconfig
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax import checks
from rnn_jax.data.vocabulary import Vocabulary

SPLITS = ("training", "validation", "test")


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark, every line ending as one newline.

    Raises:
      ValueError: with the path, where the file cannot be read, is not UTF-8 or is empty.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: must be a UTF-8 text, got byte {error.object[error.start]:#04x} at {error.start:,} "
            "(`iconv -f latin1 -t utf-8` converts one)"
        ) from error
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror}") from error
    if not text:
        raise ValueError(f"{path}: must hold a text, got an empty file")
    return text


def standard_library(characters: int, folder: str | Path | None = None) -> str:
    """The first `characters` of the source of Python's standard library: real text wherever this runs.

    The modules at its top level, one after the other by name, read from the running interpreter: another version of
    Python is another text. It stands under the PSF licence.

    Args:
      characters: how many; where there are less, all there are.
      folder: with the modules; None means the interpreter's own.

    Raises:
      ValueError: where characters is not a positive integer, or the folder has no source.
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
            f"standard_library: {folder} has no source of modules, as some installations of Python have none"
        )
    return text[:characters]


def split(text: str, shares: Sequence[float] = (0.9, 0.05, 0.05)) -> tuple[str, str, str]:
    """Training, validation and test part: contiguous, in this order, so that the latter two are what comes later.

    Raises:
      ValueError: where shares are not three positive numbers with the sum 1, or a part would be empty.
    """
    if len(shares) != len(SPLITS):
        raise ValueError(f"split: shares must be {len(SPLITS)} numbers, of {', '.join(SPLITS)}, got {len(shares)}")
    for part, share in zip(SPLITS, shares, strict=True):
        checks.positive(share, f"split: the {part} share")
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError(f"split: shares must have the sum 1, got {sum(shares):g}")
    cuts = [0, round(len(text) * shares[0]), round(len(text) * (shares[0] + shares[1])), len(text)]
    parts = [text[start:stop] for start, stop in itertools.pairwise(cuts)]
    for name, part in zip(SPLITS, parts, strict=True):
        if not part:
            raise ValueError(f"split: a text of {len(text)} characters leaves none to the {name} part")
    training, validation, test = parts
    return training, validation, test


class Corpus(NamedTuple):
    """The parts of a text as ids, of a vocabulary that has seen the training part alone."""

    vocabulary: Vocabulary
    training: np.ndarray  # int32 [N]
    validation: np.ndarray
    test: np.ndarray

    @classmethod
    def of(cls, training: str, validation: str, test: str) -> "Corpus":
        """Characters to ids; one that does not come in the training part is UNKNOWN, of which there is a count.

        Raises:
          ValueError: where the training part holds no character.
        """
        vocabulary = Vocabulary.of([training])
        return cls(vocabulary, *(vocabulary.encode(part) for part in (training, validation, test)))

    @property
    def unknown(self) -> dict[str, int]:
        """How many characters of each part are not in the vocabulary."""
        return {part: int(np.sum(getattr(self, part) == Vocabulary.UNKNOWN)) for part in SPLITS}
