"""Tables for a terminal, and the order of a page."""

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
def test_no_text_is_cut_off(width):
    text = printed(width)
    assert all(len(line) <= width for line in text.splitlines())
    remaining = list(text)
    for character in "".join("".join(row) for row in ROWS).replace(" ", ""):
        remaining.remove(character)  # raises ValueError if the text lacks it


def test_words_fold_before_numbers():
    assert "91.76 ± 0.05" in printed(62)
    assert "words + characters, forward" not in printed(62)
    assert "words + characters, forward" in printed(80)


def test_columns_are_aligned_across_sections():
    first, second = (line for line in printed(80).splitlines() if "89.15" in line or "91.76" in line)
    assert first.rindex("89.32") + len("89.32") == second.rindex("0.04") + len("0.04")


HOSTILE = ["rate [/s]", "load [kwh]", "[bold]x[/bold]", "[/]", ":warning:", "a\\[b]", "[link=x]y", "3 °C → м³"]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_users_text_is_printed_as_it_is(text):
    column = report.Column(text, lambda row: row)
    for is_terminal in (False, True):
        console = Console(file=io.StringIO(), width=80, force_terminal=is_terminal, color_system=None)
        console.print(report.TextTables([column], {text: [text]}, text), highlight=False)
        assert [line.strip() for line in console.file.getvalue().splitlines()].count(text) == 4


def test_a_page_shows_figures_then_tables_then_sentences_then_the_configuration():
    tables = [report.html_table(COLUMNS, {"one": ROWS[:1]}, caption) for caption in ("first table", "second table")]
    page = report.page("A <title>", ["a sentence"], tables, {"a figure": b"png"}, {"seed": 7})
    assert "<h1>A &lt;title&gt;</h1>" in page
    parts = ["a figure", "data:image/png;base64,", "first table", "second table", "a sentence", "&quot;seed&quot;: 7"]
    positions = [page.index(part) for part in parts]
    assert positions == sorted(positions)
