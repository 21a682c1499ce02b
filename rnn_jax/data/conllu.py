"""CoNLL-U files, the format of Universal Dependencies: sentences as words and their parts of speech."""

from pathlib import Path
from typing import NamedTuple

from rnn_jax.data.text import read_text

COLUMNS = 10  # ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC


class Sentence(NamedTuple):
    """Words and the tag of each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def read_conllu(path: str | Path) -> list[Sentence]:
    """The syntactic words of a CoNLL-U file (FORM) and their universal parts of speech (UPOS).

    Comments, multiword tokens (`1-2`, whose words follow) and empty nodes (`1.1`) are left out, as everywhere where
    tagging is measured. https://universaldependencies.org/format.html; Nivre et al. 2020, arXiv:2004.10643.

    Raises:
      ValueError: with the path, where the file cannot be read, is not UTF-8 or holds no sentence; and with the line,
        where that has not 10 columns, its number is not the next one, or its form or its tag is missing.
    """
    sentences = []
    words: list[str] = []
    tags: list[str] = []
    # Not splitlines: that ends lines at characters which may stand in a form, such as U+2028.
    for number, line in enumerate([*read_text(path).split("\n"), ""], 1):
        if not line.strip():
            if words:
                sentences.append(Sentence(tuple(words), tuple(tags)))
                words, tags = [], []
        elif not line.startswith("#"):
            columns = line.split("\t")
            if len(columns) != COLUMNS:
                raise ValueError(
                    f"{path}, line {number}: must have {COLUMNS} columns with tabs between them, got {len(columns)}: "
                    f"{line[:40]!r}"
                )
            if _is_word(columns[0]):
                words.append(_form(columns, len(words) + 1, f"{path}, line {number}"))
                tags.append(columns[3])
    if not sentences:
        raise ValueError(f"{path}: must hold at least one sentence, got none")
    return sentences


def _is_word(number: str) -> bool:
    """Whether it is neither of a multiword token nor of an empty node."""
    first, separator, second = number.partition("-") if "-" in number else number.partition(".")
    return not (separator and first.isdecimal() and second.isdecimal())


def _form(columns: list[str], place: int, where: str) -> str:
    number, form, _, tag, *_ = columns
    if number != str(place):
        raise ValueError(f"{where}: must be word {place} of its sentence, got number {number!r}")
    if not form:
        raise ValueError(f"{where}: word {place} has no form (column 2)")
    if tag in ("", "_"):
        raise ValueError(f"{where}: word {form!r} has no tag (column 4, UPOS)")
    return form
