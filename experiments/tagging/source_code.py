"""Tagged sentences on every machine: lines of Python's standard library, each token with the role it plays.

A name's role cannot be seen from the name: `key` is an ARGUMENT before `=` in parentheses, ASSIGNED before one outside
them, an ATTRIBUTE after a dot, CALLED before a parenthesis, and what is none of these is READ. The role hangs on the
token before as well as on the one after.
"""

import io
import keyword
import tokenize
from collections.abc import Iterator

from rnn_jax.data import Sentence, standard_library

CHARACTERS = 3_000_000  # of source that are read
LONGEST, SHORTEST = 30, 3  # tokens of a line
LEFT_OUT = {tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def sentences() -> list[Sentence]:
    """Logical lines of 3 to 30 tokens, each different one once, where it comes first."""
    found = [Sentence(tuple(t.string for t in line), tuple(_roles(line))) for line in _lines()]
    return list(dict.fromkeys(s for s in found if SHORTEST <= len(s.words) <= LONGEST))


def _lines() -> Iterator[list[tokenize.TokenInfo]]:
    line: list[tokenize.TokenInfo] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(standard_library(CHARACTERS)).readline):
            if token.type == tokenize.NEWLINE:
                yield line
                line = []
            elif token.type not in LEFT_OUT and token.string.strip():
                line.append(token)
    except (tokenize.TokenError, SyntaxError):
        return  # the text was cut off inside a statement


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
    if keyword.iskeyword(token.string):
        return "KEYWORD"
    if imports:
        return "IMPORTED"
    if before in ("def", "class"):
        return "DEFINED"
    if before == ".":
        return "METHOD" if after == "(" else "ATTRIBUTE"
    if after == "(":
        return "CALLED"
    if after == "=":
        return "ARGUMENT" if inside else "ASSIGNED"
    return "READ"
