"""Pairs of sentences: the file, the words, the split by source."""

from pathlib import Path

import numpy as np
import pytest

from rnn_jax.data import read_pairs, sentence, split_by_source, words

DEU = next(
    (
        path
        for folder in Path(__file__).parents
        if (path := folder / "shared" / "data" / "tatoeba_deu_eng" / "deu.txt").exists()
    ),
    None,
)


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "pairs.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_reads_columns_in_either_order_and_ignores_others(file):
    path = file("\ufeffHi.\tHallo!\tCC-BY 2.0 (France)\r\n\r\nRun!\t Lauf! \tx\ty\n")
    assert read_pairs(path) == [("Hi.", "Hallo!"), ("Run!", "Lauf!")]
    assert read_pairs(path, (2, 1)) == [("Hallo!", "Hi."), ("Lauf!", "Run!")]


def test_a_line_ends_at_a_newline_alone(file):
    assert read_pairs(file("a\u2028b\tc\x0bd\n")) == [("a\u2028b", "c\x0bd")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Hi.\tHallo!\nRun! Lauf!\n", r"pairs.txt, line 2: must have 2 columns parted by tabs, got 1: 'Run! Lauf!'"),
        ("Hi.\tHallo!\n\nRun!\t \n", r"pairs.txt, line 3: the target must not be empty, got 'Run!\\t '"),
        ("\tHallo!\n", r"pairs.txt, line 1: the source must not be empty"),
        ("Gr\xfc\xdf Gott\tHi".encode("latin-1"), r"pairs.txt: must be a UTF-8 text, got byte 0xfc at 2"),
        ("", "pairs.txt: must hold a text, got an empty file"),
        ("\n \n", "pairs.txt: must hold pairs of sentences, got blank lines alone"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(content, message, file):
    with pytest.raises(ValueError, match=message):
        read_pairs(file(content))


def test_a_file_that_is_not_there_and_columns_that_cannot_be(file, tmp_path):
    with pytest.raises(ValueError, match="nowhere: cannot be read: No such file"):
        read_pairs(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="line 1: must have 3 columns parted by tabs, got 2"):
        read_pairs(file("a\tb\n"), (1, 3))
    with pytest.raises(ValueError, match="source and target must be two columns, got 1 for both"):
        read_pairs(file("a\tb\n"), (1, 1))
    with pytest.raises(ValueError, match="the target column must be a positive integer, got 0"):
        read_pairs(file("a\tb\n"), (1, 0))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("I don't know.", ["i", "don't", "know", "."]),
        ("Grüß Gott!", ["grüß", "gott", "!"]),
        ("At 7:30, 1,000 people?", ["at", "7:30", ",", "1,000", "people", "?"]),
        ("a well-known T-shirt - no", ["a", "well-known", "t-shirt", "-", "no"]),
        ("u\u0308ber", ["über"]),
        ("  ", []),
    ],
)
def test_words(text, wanted):
    assert list(words(text)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "i don't know.",
        'he said, "yes, i do." (at 7:30)',
        "„hallo“, sagte er: «so!»",
        "what?! no; it's $30.",
    ],
)
def test_a_sentence_comes_back_from_its_words(text):
    assert sentence(words(text)) == text


def made(count=60):
    rng = np.random.default_rng(0)
    pairs = []
    for n in range(count):
        source = f"satz {n} hier"
        pairs += [(words(source + end), words(f"sentence {n} {rng.integers(3)}")) for end in (".", "!", "!")]
    return pairs


def test_no_source_stands_on_two_sides_and_no_pair_twice():
    pairs = made()
    parts = split_by_source(pairs, 7, 9, np.random.default_rng(1))
    bare = [{source[:-1] for source, _ in part} for part in parts]
    assert [len(sources) for sources in bare] == [60 - 16, 7, 9]
    assert not bare[0] & bare[1] | bare[0] & bare[2] | bare[1] & bare[2]
    everything = [pair for part in parts for pair in part]
    assert len(everything) == len(set(everything)) == len(set(pairs))
    assert set(everything) == set(pairs)
    again = split_by_source(pairs, 7, 9, np.random.default_rng(1))
    assert again == parts
    assert split_by_source(pairs, 7, 9, np.random.default_rng(2)) != parts


def test_sources_of_punctuation_alone_are_not_one():
    pairs = [(("!",), ("a",)), (("?",), ("b",)), (("x",), ("c",))]
    parts = split_by_source(pairs, 1, 1, np.random.default_rng(0))
    assert [len(part) for part in parts] == [1, 1, 1]


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="60 different sources leave none to train on beside 30 for validation and 30"):
        split_by_source(made(), 30, 30, np.random.default_rng(0))
    with pytest.raises(ValueError, match="test must be a positive integer, got 0"):
        split_by_source(made(), 1, 0, np.random.default_rng(0))


@pytest.mark.skipif(DEU is None, reason="Tatoeba's pairs are not in ../shared/data/tatoeba_deu_eng")
def test_tatoebas_pairs():
    pairs = read_pairs(DEU, (2, 1))
    assert len(pairs) == 169_813
    assert pairs[0] == ("Hallo!", "Hi.")
    short = [(words(source), words(target)) for source, target in pairs[::20]]
    parts = split_by_source(short, 500, 500, np.random.default_rng(0))
    training, test = ({source[:-1] for source, _ in part} for part in (parts.training, parts.test))
    assert not training & test
