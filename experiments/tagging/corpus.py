"""Tagged sentences as arrays: splits, vocabularies of the training set, buckets."""

import contextlib
import dataclasses
import io
import keyword
import tokenize
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from experiments.common import splits
from experiments.common.flags import user_errors
from rnn_jax.data import Examples, Sentence, Vocabulary, bucket_lengths, read_treebank, spell, standard_library

FILES = {"training": "train", "validation": "dev", "test": "test"}  # end of each split's file name
SOURCE_CHARACTERS = 3_000_000  # characters of the standard library that are read
SHORTEST, LONGEST = 3, 30  # tokens of a line
SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
CHARACTERS = 16  # characters of a word that are read; 1 in 100 English words is longer
NO_TAG = -2  # id of tags that are not in the training set: no tagger predicts it


class Split(NamedTuple):
    """Sentences, bucket after bucket; `words` and `gold` hold all their words and tags in this order."""

    buckets: list[Examples]  # steps: ids of words, tags [T, N] and characters [T, N, C]; whole: lengths [N]
    words: list[str]
    gold: np.ndarray  # ids [words]


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """Data of a run."""

    source: str
    sentences: dict[str, list[Sentence]]  # by split
    removed: dict[str, int]  # sentences removed because a later split repeats them, by split
    words: Vocabulary
    characters: Vocabulary
    tags: tuple[str, ...]
    splits: dict[str, Split]


def load(data: str | None, sentences: int | None, min_count: int, buckets: int) -> Corpus:
    """Returns the corpus of a folder with CoNLL-U files, or the default one; arguments are those of `Config`.

    Raises:
      UserError: if a file is missing or malformed, or no word occurs `min_count` times.
    """
    source = "Lines of Python's standard library" if data is None else data
    with user_errors("--data"):
        read = source_code() if data is None else read_treebank(data)
    kept, removed = splits.without_repeats(read, lambda sentence: sentence.words, "sentence")
    kept = {name: each[:sentences] for name, each in kept.items()}
    training = kept["training"]
    with user_errors(f"--min_count={min_count}"):
        words = Vocabulary.of((s.words for s in training), min_count)
    characters = Vocabulary.of(word for s in training for word in s.words)
    tags = tuple(sorted({tag for s in training for tag in s.tags}))
    lengths = bucket_lengths([len(s.words) for s in training], buckets)
    encoded = {name: _encode(each, lengths, words, characters, tags) for name, each in kept.items()}
    return Corpus(source, kept, removed, words, characters, tags, encoded)


def _encode(
    sentences: list[Sentence], lengths: tuple[int, ...], words: Vocabulary, characters: Vocabulary, tags: Sequence[str]
) -> Split:
    tag_ids = {tag: index for index, tag in enumerate(tags)}
    gold = [np.array([tag_ids.get(tag, NO_TAG) for tag in s.tags], np.int32) for s in sentences]
    spellings = [spell(s.words, characters, CHARACTERS) for s in sentences]
    ids = {"words": [words.encode(s.words) for s in sentences], "characters": spellings, "tags": gold}
    buckets, order = splits.bucketed(ids, lengths)
    ordered = [word for index in order for word in sentences[index].words]
    return Split(buckets, ordered, np.concatenate([gold[index] for index in order]))


def source_code() -> dict[str, list[Sentence]]:
    """Returns distinct lines of Python's standard library, each token tagged with its role; 10 % each are held out.

    A name does not show its role: `key` is an ARGUMENT before `=` in parentheses, ASSIGNED before one outside them, an
    ATTRIBUTE after a dot, CALLED before a parenthesis, and READ otherwise: it depends on the tokens before and after.
    """
    lines = [Sentence(tuple(t.string for t in line), tuple(_roles(line))) for line in _lines()]
    lines = list(dict.fromkeys(s for s in lines if SHORTEST <= len(s.words) <= LONGEST))
    first, second = round(0.8 * len(lines)), round(0.9 * len(lines))
    return {"training": lines[:first], "validation": lines[first:second], "test": lines[second:]}


def _lines() -> Iterator[list[tokenize.TokenInfo]]:
    line: list[tokenize.TokenInfo] = []
    with contextlib.suppress(tokenize.TokenError, SyntaxError):  # the text ends inside a statement
        for token in tokenize.generate_tokens(io.StringIO(standard_library(SOURCE_CHARACTERS)).readline):
            if token.type == tokenize.NEWLINE:
                yield line
                line = []
            elif token.type not in SKIPPED and token.string.strip():
                line.append(token)


def _roles(line: list[tokenize.TokenInfo]) -> Iterator[str]:
    strings = [token.string for token in line]
    depth, imports = 0, strings[:1] in (["import"], ["from"])
    for token, before, after in zip(line, ["", *strings], [*strings[1:], ""], strict=False):
        if token.type == tokenize.OP:
            depth += (token.string in "([{") - (token.string in ")]}")
        yield _role(token, before, after, depth > 0, imports)


def _role(token: tokenize.TokenInfo, before: str, after: str, inside: bool, imports: bool) -> str:
    if token.type != tokenize.NAME:
        kind = tokenize.tok_name[token.type]
        return "STRING" if "STRING" in kind else kind  # Python 3.12 has several kinds for an f-string
    rules = (
        (keyword.iskeyword(token.string), "KEYWORD"),
        (imports, "IMPORTED"),
        (before in ("def", "class"), "DEFINED"),
        (before == ".", "METHOD" if after == "(" else "ATTRIBUTE"),
        (after == "(", "CALLED"),
        (after == "=", "ARGUMENT" if inside else "ASSIGNED"),
    )
    return next((role for holds, role in rules if holds), "READ")
