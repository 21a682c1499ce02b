"""Pairs of sentences: reading files, cutting into words, splitting by source."""

import datetime
import re
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import pytest

from rnn_jax.data import (
    PairCorpus,
    Vocabulary,
    read_pairs,
    sentence,
    split_by_source,
    with_references,
    words,
    written_dates,
)
from rnn_jax.data.calendar_dates import FORMATS

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


def test_columns_are_read_in_either_order_and_others_ignored(file):
    path = file("\ufeffHi.\tHallo!\tCC-BY 2.0 (France)\r\n\r\nRun!\t Lauf! \tx\ty\n")
    assert read_pairs(path) == [("Hi.", "Hallo!"), ("Run!", "Lauf!")]
    assert read_pairs(path, (2, 1)) == [("Hallo!", "Hi."), ("Lauf!", "Run!")]


def test_a_line_ends_only_at_a_newline(file):
    assert read_pairs(file("a\u2028b\tc\x0bd\n")) == [("a\u2028b", "c\x0bd")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("Hi.\tHallo!\nRun! Lauf!\n", r"pairs.txt, line 2: must have 2 tab-separated columns, got 1: 'Run! Lauf!'"),
        ("Hi.\tHallo!\n\nRun!\t \n", r"pairs.txt, line 3: the target must not be empty, got 'Run!\\t '"),
        ("\tHallo!\n", r"pairs.txt, line 1: the source must not be empty"),
        ("Gr\xfc\xdf Gott\tHi".encode("latin-1"), r"pairs.txt, line 1: must be a UTF-8 text, got byte 0xfc at 2"),
        ("", "pairs.txt: must hold a text, got an empty file"),
        ("\n \n", "pairs.txt: must hold pairs of sentences, got blank lines only"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(content, message, file):
    with pytest.raises(ValueError, match=message):
        read_pairs(file(content))


def test_a_missing_file_and_bad_columns_are_refused(file, tmp_path):
    with pytest.raises(ValueError, match="nowhere: cannot be read: No such file"):
        read_pairs(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="line 1: must have 3 tab-separated columns, got 2"):
        read_pairs(file("a\tb\n"), (1, 3))
    with pytest.raises(ValueError, match="source and target must be two columns, got 1 for both"):
        read_pairs(file("a\tb\n"), (1, 1))
    with pytest.raises(ValueError, match="the target column must be a positive integer, got 0"):
        read_pairs(file("a\tb\n"), (1, 0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I don't know.", ["i", "don't", "know", "."]),
        ("Grüß Gott!", ["grüß", "gott", "!"]),
        ("At 7:30, 1,000 people?", ["at", "7:30", ",", "1,000", "people", "?"]),
        ("a well-known T-shirt - no", ["a", "well-known", "t-shirt", "-", "no"]),
        ("u\u0308ber", ["über"]),
        ("  ", []),
    ],
)
def test_words_and_punctuation_are_separate(text, expected):
    assert list(words(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "i don't know.",
        'he said, "yes, i do." (at 7:30)',
        "„hallo“, sagte er: «so!»",
        "what?! no; it's $30.",
    ],
)
def test_sentence_inverts_words(text):
    assert sentence(words(text)) == text


def make_pairs(count=60):
    rng = np.random.default_rng(0)
    pairs = []
    for n in range(count):
        source = f"satz {n} hier"
        pairs += [(words(source + end), words(f"sentence {n} {rng.integers(3)}")) for end in (".", "!", "!")]
    return pairs


def test_splits_share_no_source_and_no_pair_is_repeated():
    pairs = make_pairs()
    splits = split_by_source(pairs, 7, 9, np.random.default_rng(1))
    bare = [{source[:-1] for source, _ in split} for split in splits]
    assert [len(sources) for sources in bare] == [60 - 16, 7, 9]
    assert not bare[0] & bare[1] | bare[0] & bare[2] | bare[1] & bare[2]
    everything = [pair for split in splits for pair in split]
    assert len(everything) == len(set(everything)) == len(set(pairs))
    assert set(everything) == set(pairs)
    again = split_by_source(pairs, 7, 9, np.random.default_rng(1))
    assert again == splits
    assert split_by_source(pairs, 7, 9, np.random.default_rng(2)) != splits


def test_sources_of_different_punctuation_only_are_not_the_same():
    pairs = [(("!",), ("a",)), (("?",), ("b",)), (("x",), ("c",))]
    splits = split_by_source(pairs, 1, 1, np.random.default_rng(0))
    assert [len(split) for split in splits] == [1, 1, 1]


def test_too_few_sources_to_split_are_refused():
    with pytest.raises(ValueError, match="60 different sources leave none for training after 30 for validation and 30"):
        split_by_source(make_pairs(), 30, 30, np.random.default_rng(0))
    with pytest.raises(ValueError, match="test must be a positive integer, got 0"):
        split_by_source(make_pairs(), 1, 0, np.random.default_rng(0))


@pytest.mark.skipif(DEU is None, reason="Tatoeba's pairs are not in ../shared/data/tatoeba_deu_eng")
def test_the_pairs_of_tatoeba_are_read_and_split():
    pairs = read_pairs(DEU, (2, 1))
    assert len(pairs) == 169_813
    assert pairs[0] == ("Hallo!", "Hi.")
    short = [(words(source), words(target)) for source, target in pairs[::20]]
    splits = split_by_source(short, 500, 500, np.random.default_rng(0))
    training, test = ({source[:-1] for source, _ in split} for split in (splits.training, splits.test))
    assert not training & test


def test_dates_are_distinct_and_well_formed():
    pairs = written_dates(2000, np.random.default_rng(0))
    targets = [target for _, target in pairs]
    assert len(set(targets)) == 2000
    assert all(re.fullmatch(r"(19|20)\d\d-[01]\d-[0-3]\d", target) for target in targets)
    assert FORMATS[3](datetime.date(1904, 3, 3)) == "thursday, march 3, 1904"
    assert [FORMATS[1](datetime.date(2000, 5, day)) for day in (1, 2, 3, 11, 12, 13, 21, 30)] == [
        f"may. {day}, 2000" for day in ("1st", "2nd", "3rd", "11th", "12th", "13th", "21st", "30th")
    ]
    with pytest.raises(ValueError, match="there are 73,049 dates"):
        written_dates(80_000, np.random.default_rng(0))


def test_references_are_all_targets_of_a_source_in_the_order_given():
    pairs = [(("b",), ("x",)), (("a",), ("y",)), (("b",), ("z",))]
    assert with_references(pairs) == [(("b",), (("x",), ("z",))), (("a",), (("y",),))]
    assert with_references([]) == []


def test_a_corpus_has_the_vocabulary_of_its_training_set_and_every_pair_in_one_bucket():
    pairs = [(tuple(str(n)), tuple(str(2 * n))) for n in range(200)]
    corpus = PairCorpus.of(split_by_source(pairs, 30, 20, np.random.default_rng(0)), min_count=2)
    assert [len(split) for split in corpus.splits] == [150, 30, 20]
    assert corpus.longest == (3, 4)  # with END
    counts = Counter(token for source, _ in corpus.splits.training for token in source)
    assert set(corpus.source.tokens) == {token for token, count in counts.items() if count >= 2}
    known = {target for _, target in corpus.splits.training}
    assert corpus.unseen == [n for n, item in enumerate(corpus.tested) if item.references[0] not in known]
    read = []
    for examples in corpus.buckets(3):
        steps, whole = jax.tree.map(np.asarray, tuple(examples))
        assert max(whole["source"].max(), whole["target"].max()) in (len(steps["source"]), len(steps["target"]))
        for n, (s, t) in enumerate(zip(whole["source"], whole["target"], strict=True)):
            assert steps["target"][t - 1, n] == Vocabulary.END
            sides = (corpus.source, steps["source"][:s, n]), (corpus.target, steps["target"][: t - 1, n])
            read.append(tuple(tuple(vocabulary.decode(ids)) for vocabulary, ids in sides))
    assert sorted(read) == sorted(corpus.splits.training)


def test_a_corpus_is_padded_as_far_as_asked():
    pairs = [(tuple(str(n)), ("a",)) for n in range(20)]
    corpus = PairCorpus.of(split_by_source(pairs, 2, 3, np.random.default_rng(0)))
    steps, whole = corpus.examples([(("1",), ())], (4, 6))
    assert (steps["source"].shape, steps["target"].shape) == ((4, 1), (6, 1))
    assert (whole["source"].tolist(), whole["target"].tolist()) == ([1], [1])  # END alone
