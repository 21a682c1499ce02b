"""CoNLL-U files, the format of Universal Dependencies: sentences as words and their parts of speech."""

from pathlib import Path
from typing import NamedTuple

from rnn_jax import files
from rnn_jax.data.text import SPLITS, read_text

COLUMNS = 10  # ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC


class Sentence(NamedTuple):
    """The words of a sentence and one tag for each."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def read_conllu(path: str | Path) -> list[Sentence]:
    r"""Reads the syntactic words (FORM) of a CoNLL-U file and their universal parts of speech (UPOS).

    Comments, multiword tokens (`1-2`, whose words follow) and empty nodes (`1.1`) are skipped, as is usual for tagging.
    https://universaldependencies.org/format.html; Nivre et al. 2020, arXiv:2004.10643.

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "train.conllu"
    >>> rows = [["1", "It", "it", "PRON"], ["2", "rains", "rain", "VERB"]]
    >>> _ = path.write_text("".join("\t".join(row + ["_"] * 6) + "\n" for row in rows))
    >>> data.read_conllu(path)
    [Sentence(words=('It', 'rains'), tags=('PRON', 'VERB'))]

    Args:
      path: file in UTF-8.

    Returns:
      The sentences in the order of the file.

    Raises:
      ValueError: with the path, if the file cannot be read, is not UTF-8 or holds no sentence; with the line, if it has
        not 10 columns, its number is not the next one, or its form or its tag is missing.
    """
    sentences = []
    words: list[str] = []
    tags: list[str] = []
    # Not splitlines, which also ends lines at characters that may be part of a form, such as U+2028.
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


def read_treebank(folder: str | Path) -> dict[str, list[Sentence]]:
    """Reads a folder with the three files of a treebank of Universal Dependencies.

    Args:
      folder: folder with one file each of *-train.conllu, *-dev.conllu and *-test.conllu.

    Returns:
      The sentences of "training", "validation" and "test", as from `read_conllu`.

    Raises:
      ValueError: with the path, if there is no such folder or not one file of each name; as `read_conllu`.
    """
    folder = files.expanded(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    sentences = {}
    for name, end in zip(SPLITS, ("train", "dev", "test"), strict=True):
        paths = sorted(folder.glob(f"*-{end}.conllu"))
        if len(paths) != 1:
            names = ", ".join(path.name for path in paths) or "none"
            raise ValueError(f"{folder}: must hold one file *-{end}.conllu, got {names}")
        sentences[name] = read_conllu(paths[0])
    return sentences


def _is_word(number: str) -> bool:
    """Returns False for the number of a multiword token or an empty node."""
    first, separator, second = number.partition("-") if "-" in number else number.partition(".")
    return not (separator and first.isdecimal() and second.isdecimal())


def _form(columns: list[str], expected: int, location: str) -> str:
    """Returns the form of a word after checking its number, form and tag."""
    number, form, _, tag, *_ = columns
    if number != str(expected):
        raise ValueError(f"{location}: must be word {expected} of its sentence, got number {number[:40]!r}")
    if not form:
        raise ValueError(f"{location}: word {expected} has no form (column 2)")
    if tag in ("", "_"):
        raise ValueError(f"{location}: word {form[:40]!r} has no tag (column 4, UPOS)")
    return form
