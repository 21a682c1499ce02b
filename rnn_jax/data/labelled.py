"""Labelled texts from files: one file per class, the two files of a polarity corpus, or a table."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax import files
from rnn_jax.data.text import read_text

# A word with inner apostrophes, hyphens and slashes (isn't, co-writer), or other characters, such as three dots.
_WORD = re.compile(r"\w+(?:['\u2019\-/]\w+)*|[^\w\s]+")
POLARITY = {"negative": "rt-polarity.neg", "positive": "rt-polarity.pos"}
DELIMITERS = {".csv": ",", ".tsv": "\t"}
COLUMNS = ("label", "text")


class Labelled(NamedTuple):
    """N texts and the class of each one.

    >>> from rnn_jax import data
    >>> labelled = data.Labelled.of(["good", "bad ", "very  good"], names=["+", "-", "+"])
    >>> labelled.texts, labelled.labels.tolist(), labelled.classes
    (('good', 'bad', 'very good'), [0, 1, 0], ('+', '-'))

    Attributes:
      texts: texts in Unicode's composed form (NFC), with single blanks as white space, never empty.
      labels: index into `classes` of each text, int32 [N].
      classes: names of the classes, sorted by code point.
    """

    texts: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def of(cls, texts: Sequence[str], names: Sequence[str]) -> "Labelled":
        """Builds labelled texts from the name of each text's class; drops texts of white space only.

        Args:
          texts: texts.
          names: name of the class of each text.

        Raises:
          ValueError: if the numbers of texts and names differ, or there are fewer than two classes.
        """
        if len(texts) != len(names):
            raise ValueError(f"Labelled.of: names must be as many as texts, {len(texts)}, got {len(names)}")
        tidied = [(tidy(text), name) for text, name in zip(texts, names, strict=True)]
        kept = [(text, name) for text, name in tidied if text]
        classes = tuple(sorted({name for _, name in kept}))
        if len(classes) < 2:
            raise ValueError(f"there must be texts of at least two classes, got {', '.join(classes) or 'none'}")
        index = {name: i for i, name in enumerate(classes)}
        labels = np.array([index[name] for _, name in kept], np.int32)
        return cls(tuple(text for text, _ in kept), labels, classes)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Labelled":
        """Returns the texts at `indices`, with the same classes."""
        indices = np.asarray(indices, int)
        return Labelled(tuple(self.texts[i] for i in indices), self.labels[indices], self.classes)


def tidy(text: str) -> str:
    """Returns a text in Unicode's composed form, in which é is one character, with single blanks as white space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def folded_words(text: str) -> list[str]:
    """Returns the words and punctuation of a text, case folded, for classifiers.

    >>> from rnn_jax import data
    >>> data.folded_words("It ISN'T good...")
    ['it', "isn't", 'good', '...']
    """
    return _WORD.findall(text.casefold())


def read_labelled(path: str | Path) -> Labelled:
    r"""Reads labelled texts from a file or folder in one of three forms.

    - A folder with `rt-polarity.neg` and `rt-polarity.pos` (Pang & Lee 2005): one sentence per line, in UTF-8 or
      latin-1, which is the encoding of the original corpus.
    - A folder of files `CLASS.txt`: one text per line, in UTF-8.
    - A file `.csv` or `.tsv`: in UTF-8, with a header that names the columns `label` and `text`.

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "reviews.csv"
    >>> _ = path.write_text("label,text\ngood,what a film\nbad,what a waste\n")
    >>> data.read_labelled(path).texts
    ('what a film', 'what a waste')

    Args:
      path: file or folder.

    Returns:
      The texts in the order of the files.

    Raises:
      ValueError: with the path, and the line if there is one, if the content has none of these forms.
    """
    path = files.expanded(path)
    if path.is_dir():
        is_polarity = any((path / name).exists() for name in POLARITY.values())
        texts, names = _polarity(path) if is_polarity else _classes(path)
    elif path.suffix.lower() in DELIMITERS:
        texts, names = _table(path)
    else:
        expected = "a folder with one file of texts per class, or a file .csv or .tsv"
        raise ValueError(f"{path}: must be {expected}, got {'another file' if path.exists() else 'no such file'}")
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
    paths = sorted(folder.glob("*.txt"))
    if len(paths) < 2:
        got = ", ".join(path.name for path in paths) or "none"
        raise ValueError(
            f"{folder}: must hold at least two files CLASS.txt, or {' and '.join(POLARITY.values())}, got {got}"
        )
    texts, names = [], []
    for path in paths:
        lines = _lines(path)
        texts += lines
        names += [tidy(path.stem)] * len(lines)
    return texts, names


def _lines(path: Path, latin: bool = False) -> list[str]:
    """Returns the lines of a file that are not blank. `str.splitlines` would also cut at U+0085 and its like."""
    try:
        text = read_text(path)
    except ValueError as error:
        if not (latin and isinstance(error.__cause__, UnicodeDecodeError)):
            raise
        text = path.read_text(encoding="latin-1")
    lines = [line for line in text.split("\n") if line.strip()]
    if not lines:
        raise ValueError(f"{path}: must hold one text per line, got blank lines only")
    return lines


def _table(path: Path) -> tuple[list[str], list[str]]:
    texts, names = [], []
    for line, (label, text) in read_columns(path, COLUMNS):
        if not (name := tidy(label)):
            raise ValueError(f"{path}, line {line}: must name a class, got an empty label")
        texts.append(text)
        names.append(name)
    return texts, names


def read_columns(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[int, list[str]]]:
    """Reads named columns of a file with a header, separated by tabs if its name ends in .tsv, by commas otherwise.

    Args:
      path: file in UTF-8.
      columns: names of the columns.
      optional: names of columns that the file may lack; their cells are then "".

    Yields:
      The last line of each row in the file, and its cells in these columns.

    Raises:
      ValueError: with the path and the line, if the header does not name each column once, or a row has more or fewer
        fields.
    """
    # A stream, not a list of lines: line ends inside quotes belong to a text, and U+0085 and its like end no line.
    reader = csv.reader(io.StringIO(read_text(path)), delimiter=DELIMITERS.get(path.suffix.lower(), ","), strict=True)
    try:
        header = [tidy(name).casefold() for name in next(reader, [])]
        present = [name for name in optional if name in header]
        if missing := [name for name in (*columns, *present) if header.count(name) != 1]:
            raise ValueError(
                f"{path}, line 1: must name the columns {' and '.join(columns)} once each, "
                f"got {', '.join(header) or 'none':.200}: {missing[0]!r} comes {header.count(missing[0])} times"
            )
        indices = [header.index(name) if name in header else None for name in (*columns, *optional)]
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise ValueError(
                    f"{path}, line {reader.line_num}: must have {len(header)} fields, as line 1, got {len(row)}"
                )
            yield reader.line_num, ["" if index is None else row[index] for index in indices]
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from error
