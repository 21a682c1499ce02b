"""Texts with a class each, read from files: one file a class, the two files of a polarity corpus, or a table."""

import csv
import io
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax.data.text import read_text

POLARITY = {"negative": "rt-polarity.neg", "positive": "rt-polarity.pos"}
DELIMITERS = {".csv": ",", ".tsv": "\t"}
COLUMNS = ("label", "text")


class Labelled(NamedTuple):
    """N texts and the class of each."""

    texts: tuple[str, ...]  # in Unicode's composed form (NFC), white space as single blanks, never empty
    labels: np.ndarray  # int32 [N], places in classes
    classes: tuple[str, ...]  # by code point

    @classmethod
    def of(cls, texts: Sequence[str], names: Sequence[str]) -> "Labelled":
        """From the name of each text's class; texts of white space alone are left out.

        Raises:
          ValueError: where there are not as many names as texts, or not two classes.
        """
        if len(texts) != len(names):
            raise ValueError(f"Labelled.of: names must be as many as texts, {len(texts)}, got {len(names)}")
        tidied = [(tidy(text), name) for text, name in zip(texts, names, strict=True)]
        kept = [(text, name) for text, name in tidied if text]
        classes = tuple(sorted({name for _, name in kept}))
        if len(classes) < 2:
            raise ValueError(f"there must be texts of at least two classes, got {', '.join(classes) or 'none'}")
        number = {name: place for place, name in enumerate(classes)}
        labels = np.array([number[name] for _, name in kept], np.int32)
        return cls(tuple(text for text, _ in kept), labels, classes)

    def take(self, places: Sequence[int] | np.ndarray) -> "Labelled":
        """The texts at `places`; the classes stay."""
        places = np.asarray(places, int)
        return Labelled(tuple(self.texts[i] for i in places), self.labels[places], self.classes)


def tidy(text: str) -> str:
    """A text in Unicode's composed form, so that an é is one character, and with single blanks for white space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def read_labelled(path: str | Path) -> Labelled:
    """The texts of whichever of the three forms stands at `path`.

    - A folder with `rt-polarity.neg` and `rt-polarity.pos` (Pang & Lee 2005): a sentence a line, in UTF-8 or else
      latin-1, which is what the corpus is in.
    - A folder of `CLASS.txt`: a text a line, in UTF-8.
    - A file `.csv` or `.tsv`: in UTF-8, its first row the names of its columns, `label` and `text` among them.

    Raises:
      ValueError: with the path, and the line where there is one, of what cannot be read as one of these.
    """
    path = Path(path)
    if path.is_dir():
        is_polarity = any((path / name).exists() for name in POLARITY.values())
        texts, names = _polarity(path) if is_polarity else _classes(path)
    elif path.suffix.lower() in DELIMITERS:
        texts, names = _table(path)
    else:
        wanted = "a folder with a file of texts a class, or a file .csv or .tsv"
        raise ValueError(f"{path}: must be {wanted}, got {'another file' if path.exists() else 'nothing there'}")
    try:
        return Labelled.of(texts, names)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _polarity(folder: Path) -> tuple[list[str], list[str]]:
    texts, names = [], []
    for name, file in POLARITY.items():
        lines = _lines(folder / file, latin=True)
        texts += lines
        names += [name] * len(lines)
    return texts, names


def _classes(folder: Path) -> tuple[list[str], list[str]]:
    files = sorted(folder.glob("*.txt"))
    if len(files) < 2:
        found = ", ".join(file.name for file in files) or "none"
        raise ValueError(
            f"{folder}: must hold at least two files CLASS.txt, or {' and '.join(POLARITY.values())}, got {found}"
        )
    texts, names = [], []
    for file in files:
        lines = _lines(file)
        texts += lines
        names += [tidy(file.stem)] * len(lines)
    return texts, names


def _lines(path: Path, latin: bool = False) -> list[str]:
    """The lines of a file that are not blank. Not `str.splitlines`, which cuts at characters inside a sentence too."""
    try:
        text = read_text(path)
    except ValueError as error:
        if not (latin and isinstance(error.__cause__, UnicodeDecodeError)):
            raise
        text = path.read_text(encoding="latin-1")
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"{path}: must hold a text a line, got blank lines alone")
    return lines


def _table(path: Path) -> tuple[list[str], list[str]]:
    # A stream, not a list of lines: line ends inside quotes are part of a text, and NEL and its like end no line.
    reader = csv.reader(io.StringIO(read_text(path)), delimiter=DELIMITERS[path.suffix.lower()], strict=True)
    texts, names = [], []
    try:
        header = [tidy(name).casefold() for name in next(reader, [])]
        if missing := [name for name in COLUMNS if header.count(name) != 1]:
            raise ValueError(
                f"{path}, line 1: must name the columns {' and '.join(COLUMNS)} once each, "
                f"got {', '.join(header) or 'none'}: {missing[0]!r} comes {header.count(missing[0])} times"
            )
        at_label, at_text = (header.index(name) for name in COLUMNS)
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise ValueError(
                    f"{path}, line {reader.line_num}: must have {len(header)} fields, as line 1, got {len(row)}"
                )
            if not (name := tidy(row[at_label])):
                raise ValueError(f"{path}, line {reader.line_num}: must name a class, got an empty label")
            texts.append(row[at_text])
            names.append(name)
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
    return texts, names
