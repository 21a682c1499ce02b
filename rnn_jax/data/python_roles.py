"""Lines of Python whose tokens are tagged with their roles: sentences to tag without a download."""

import contextlib
import io
import keyword
import tokenize
from collections.abc import Iterator

from rnn_jax.data.conllu import Sentence
from rnn_jax.data.text import standard_library

SOURCE_CHARACTERS = 3_000_000  # characters of the standard library that are read
SHORTEST, LONGEST = 3, 30  # tokens of a line
SKIPPED = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


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
