"""Tables for a terminal."""

import io

import pytest
from rich.console import Console

from rnn_jax import report

ROWS = [
    ("most frequent tag, endings", "", "89.15", "89.32"),
    ("words + characters, forward", "1,440,253", "91.76 ± 0.05", "92.26 ± 0.04"),
]
COLUMNS = [
    report.Column(header, lambda row, n=n: row[n], right=n > 0)
    for n, header in enumerate(["tagger", "parameters", "validation", "test"])
]


def printed(width):
    console = Console(file=io.StringIO(), width=width)
    console.print(report.TextTables(COLUMNS, {"one": ROWS[:1], "other": ROWS[1:]}, "what it means"))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [30, 44, 60, 80])
def test_nothing_is_cut_off(width):
    text = printed(width)
    assert all(len(line) <= width for line in text.splitlines())
    wanted = sorted("".join("".join(row) for row in ROWS).replace(" ", ""))
    missing = list(text)
    for character in wanted:
        missing.remove(character)  # each has a place of its own


def test_words_fold_before_numbers():
    assert "91.76 ± 0.05" in printed(62)
    assert "words + characters, forward" not in printed(62)
    assert "words + characters, forward" in printed(80)


def test_columns_are_aligned_throughout():
    first, second = (line for line in printed(80).splitlines() if "89.15" in line or "91.76" in line)
    assert first.rindex("89.32") + len("89.32") == second.rindex("0.04") + len("0.04")
