"""Tagged sentences from the column files of the CoNLL shared tasks: entities in BIO, or parts of speech in CoNLL-U."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rnn_jax.data import conllu
from rnn_jax.data.conllu import Sentence, read_conllu
from rnn_jax.data.text import read_text

DOCUMENT = "-DOCSTART-"  # token of the line that begins a document in CoNLL-2003
TAG = re.compile(r"O|[BI]-\S+")


class TaggedFile(NamedTuple):
    """Sentences of a file, and how it was read."""

    sentences: list[Sentence]
    form: str  # format, encoding and columns, for a reader of the run's output
    entities: bool  # tags are O, B-TYPE and I-TYPE of IOB2; else they are parts of speech


def read_tagged(path: str | Path) -> TaggedFile:
    r"""Reads a file of tagged sentences in CoNLL columns or in CoNLL-U, distinguished by content.

    - CoNLL: a token and a tag on each line, with tabs or blanks between columns and blank lines between sentences; of
      more columns the first and the last, as in CoNLL-2003. `-DOCSTART-` lines are skipped. Tags are BIO (IOB2): a
      B-TYPE begins an entity, I-TYPE continues it, O is outside. An I-TYPE that continues none, as in IOB1, becomes
      B-TYPE, and `form` has their number. Tjong Kim Sang & De Meulder 2003, arXiv:cs/0306050.
    - CoNLL-U: as `read_conllu`; a file `.conllu`, or one whose first row has ten columns that begin with a number.

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "train.conll"
    >>> _ = path.write_text("Ada\tB-person\nLovelace\tI-person\nwrote\tO\n\n")
    >>> read = data.read_tagged(path)
    >>> read.sentences
    [Sentence(words=('Ada', 'Lovelace', 'wrote'), tags=('B-person', 'I-person', 'O'))]
    >>> read.form
    'CoNLL, UTF-8, tabs between 2 columns: token 1, IOB2 tag 2'

    Args:
      path: file in UTF-8.

    Raises:
      ValueError: with the path, if the file cannot be read, is not UTF-8 or holds no sentence; with the line, if it has
        another number of columns than the first, its token is missing, or its tag is none of BIO; as `read_conllu`.
    """
    lines = read_text(path).split("\n")
    if Path(path).suffix == ".conllu" or _is_conllu(lines):
        form = f"CoNLL-U, UTF-8, tabs between {conllu.COLUMNS} columns: form 2, universal part of speech 4"
        return TaggedFile(read_conllu(path), form, False)
    separator, width = _columns(lines)
    sentences, converted = [], 0
    for words, tags in _sentences(path, lines, separator, width):
        begun = _iob2(tags)
        converted += sum(old != new for old, new in zip(tags, begun, strict=True))
        sentences.append(Sentence(tuple(words), begun))
    if not sentences:
        raise ValueError(f"{path}: must hold at least one sentence, got none")
    form = f"CoNLL, UTF-8, {_between(separator)} between {width} columns: token 1, IOB2 tag {width}"
    if converted:
        form += f" (entities that began with I, as in IOB1, and now begin with B: {converted:,})"
    return TaggedFile(sentences, form, True)


class Entity(NamedTuple):
    """A part of a sentence, words[start:end], and its type."""

    start: int
    end: int
    type: str


def entities(tags: Sequence[str]) -> list[Entity]:
    """Returns the entities of a sentence's tags in IOB2: a B begins one, every I of its type after it continues it.

    An I that continues none is outside, as in seqeval's strict mode.

    >>> from rnn_jax import data
    >>> data.entities(["B-person", "I-person", "O", "I-person", "B-place"])
    [Entity(start=0, end=2, type='person'), Entity(start=4, end=5, type='place')]
    """
    spans: list[Entity] = []
    begin: int | None = None
    for place, tag in enumerate([*tags, "O"]):
        if begin is not None and tag != f"I{tags[begin][1:]}":
            spans.append(Entity(begin, place, tags[begin][2:]))
            begin = None
        if tag[0] == "B":
            begin = place
    return spans


def _is_conllu(lines: Sequence[str]) -> bool:
    """Returns whether the first row is one of CoNLL-U: ten columns, a number first, and no entity's tag at the end."""
    rows = (line.split("\t") for line in lines if line.strip() and not line.startswith("#"))
    first = next(rows, [""])
    return len(first) == conllu.COLUMNS and first[0][:1].isdecimal() and not TAG.fullmatch(first[-1])


def _columns(lines: Sequence[str]) -> tuple[str, int]:
    """Returns what separates the columns of the first row, and their number."""
    first = next((line for line in lines if line.strip() and not line.startswith(DOCUMENT)), "")
    separator = "\t" if "\t" in first else " "
    return separator, len(_split(first, separator))


def _split(line: str, separator: str) -> list[str]:
    # Not str.split(), which also cuts at blanks that may be part of a token, such as U+00A0.
    return line.split("\t") if separator == "\t" else re.split(" +", line.strip(" "))


def _between(separator: str) -> str:
    return "tabs" if separator == "\t" else "blanks"


def _sentences(
    path: str | Path, lines: Sequence[str], separator: str, width: int
) -> Iterator[tuple[list[str], list[str]]]:
    """Yields words and tags of each sentence."""
    words: list[str] = []
    tags: list[str] = []
    # Not splitlines, which also ends lines at characters that may be part of a token, such as U+2028.
    for number, line in enumerate([*lines, ""], 1):
        columns = _split(line, separator)
        if not line.strip() or line.startswith(DOCUMENT):
            if words:
                yield words, tags
            words, tags = [], []
            continue
        if len(columns) < 2 or len(columns) != width:
            raise ValueError(
                f"{path}, line {number}: must have {max(width, 2)} columns with {_between(separator)} between them, "
                f"got {len(columns)}: {line[:40]!r}"
            )
        if not (word := columns[0].strip(" ")):
            raise ValueError(f"{path}, line {number}: must begin with a token, got {line[:40]!r}")
        if not TAG.fullmatch(tag := columns[-1].strip(" ")):
            raise ValueError(
                f"{path}, line {number}: the tag must be O, B-TYPE or I-TYPE, got {tag[:40]!r}; convert other schemes "
                "(BIOES, BILOU) to BIO, and give parts of speech as CoNLL-U"
            )
        words.append(word)
        tags.append(tag)


def _iob2(tags: Sequence[str]) -> tuple[str, ...]:
    """Returns BIO tags in which every entity begins with B."""
    before = ["O", *tags[:-1]]
    return tuple(
        f"B{tag[1:]}" if tag[0] == "I" and last[1:] != tag[1:] else tag for last, tag in zip(before, tags, strict=True)
    )
