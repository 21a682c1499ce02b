"""Labelled texts: three forms of files, malformed files, and splits without a shared text."""

import re
from pathlib import Path

import numpy as np
import pytest

from rnn_jax.data import Labelled, best_possible, distinct, read_labelled, split_labelled
from rnn_jax.data.stratified import same

SHARED = Path(__file__).parents[2] / "shared" / "data"


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def pairs(labelled):
    return [(text, labelled.classes[label]) for text, label in zip(labelled.texts, labelled.labels, strict=True)]


def test_a_folder_with_one_file_per_class_is_read(tmp_path):
    # An é of two characters, a byte order mark, blank lines, another kind of blank and of line end.
    write(
        tmp_path,
        Irish__txt="\ufeffO'Neal\r\n\r\nBre\u0301n\u00a0 Mac\r\n",
        Czech__txt="Nov\u00e1k\n   \nU\u2028x\n",
        x__md="no",
    )
    labelled = read_labelled(tmp_path)
    assert pairs(labelled) == [
        ("Nov\u00e1k", "Czech"),
        ("U x", "Czech"),
        ("O'Neal", "Irish"),
        ("Br\u00e9n Mac", "Irish"),
    ]
    assert labelled.classes == ("Czech", "Irish")
    assert labelled.labels.dtype == np.int32


def test_a_polarity_corpus_is_read_in_latin_1_or_utf_8(tmp_path):
    # NEL is a character of latin-1 inside a line, at which str.splitlines would cut.
    files = {
        "rt-polarity__neg": b"caf\xe9 \x85 dull \n",
        "rt-polarity__pos": "caf\u00e9 fine\n".encode(),
        "README__txt": "x",
    }
    assert pairs(read_labelled(write(tmp_path, **files))) == [
        ("caf\u00e9 dull", "negative"),
        ("caf\u00e9 fine", "positive"),
    ]


@pytest.mark.parametrize(("suffix", "comma"), [("csv", ","), ("tsv", "\t"), ("CSV", ",")])
def test_a_table_is_read(tmp_path, suffix, comma):
    rows = ["Text,id,LABEL", '"one, ""two""\nthree",1, spam', "", "four,2,ham", " ,3,ham"]
    path = tmp_path / f"t.{suffix}"
    path.write_text("\n".join(rows).replace(",", comma) + "\n", encoding="utf-8")
    quoted = f'one{comma} "two" three' if comma == "," else 'one "two" three'
    assert pairs(read_labelled(path)) == [(quoted, "spam"), ("four", "ham")]


BAD = [
    ({}, "", "must hold at least two files CLASS.txt, or rt-polarity.neg and rt-polarity.pos, got none"),
    (
        {"a__txt": "x\n"},
        "",
        "must hold at least two files CLASS.txt, or rt-polarity.neg and rt-polarity.pos, got a.txt",
    ),
    ({"a__txt": "x\n", "b__txt": ""}, "", "b.txt: must hold a text, got an empty file"),
    ({"a__txt": "x\n", "b__txt": " \n\n"}, "", "b.txt: must hold one text per line, got blank lines only"),
    ({"a__txt": "x\n", "b__txt": b"zw\xf6lf\n"}, "", "b.txt, line 1: must be a UTF-8 text, got byte 0xf6 at 2"),
    ({"rt-polarity__pos": "x\n"}, "", "rt-polarity.neg: cannot be read: No such file or directory"),
    ({"rt-polarity__pos": "x\n", "rt-polarity__neg": ""}, "", "rt-polarity.neg: must hold a text, got an empty file"),
    ({}, "t.csv", "t.csv: cannot be read: No such file or directory"),
    ({}, "nowhere", "must be a folder with one file of texts per class, or a file .csv or .tsv, got no such file"),
    (
        {"t__json": "{}"},
        "t.json",
        "must be a folder with one file of texts per class, or a file .csv or .tsv, got another file",
    ),
    ({"t__csv": ""}, "t.csv", "t.csv: must hold a text, got an empty file"),
    ({"t__csv": "label,words\na,b\n"}, "t.csv", "t.csv, line 1: must name the columns label and text once each, got"),
    ({"t__csv": "label,text,text\n"}, "t.csv", "'text' comes 2 times"),
    ({"t__csv": "label,text\na,b\na,b,c\n"}, "t.csv", "t.csv, line 3: must have 2 fields, as line 1, got 3"),
    ({"t__csv": 'label,text\na,"x\ny"\nb\n'}, "t.csv", "t.csv, line 4: must have 2 fields, as line 1, got 1"),
    ({"t__csv": "label,text\n ,b\n"}, "t.csv", "t.csv, line 2: must name a class, got an empty label"),
    ({"t__csv": 'label,text\na,"b\n'}, "t.csv", "t.csv, line 2: unexpected end of data"),
    ({"t__csv": b"label,text\na,\xff\n"}, "t.csv", "t.csv, line 2: must be a UTF-8 text, got byte 0xff at 13"),
    ({"t__csv": "label,text\na,b\na,c\n"}, "t.csv", "t.csv: there must be texts of at least two classes, got a"),
    (
        {"t__tsv": "label,text\na,b\n"},
        "t.tsv",
        "t.tsv, line 1: must name the columns label and text once each, got label,text",
    ),
]


@pytest.mark.parametrize(("files", "name", "message"), BAD, ids=[message for _, _, message in BAD])
def test_a_malformed_file_is_named(tmp_path, files, name, message):
    write(tmp_path, **files)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_labelled(tmp_path / name)


def test_names_that_are_not_as_many_as_texts_are_refused():
    with pytest.raises(ValueError, match="names must be as many as texts, 2, got 1"):
        Labelled.of(["a", "b"], ["x"])


def test_a_duplicate_is_removed_and_an_ambiguous_text_stays():
    labelled = Labelled.of(["Abbas", "abbas", "ABBAS ", "Smith", "Abbas"], ["ar", "ar", "en", "en", "en"])
    once = distinct(labelled)
    assert pairs(once) == [("Abbas", "ar"), ("ABBAS", "en"), ("Smith", "en")]
    # Two of three can be right: whichever class abbas is given, one of its two is wrong.
    assert best_possible(once) == pytest.approx(2 / 3)
    assert best_possible(labelled) == pytest.approx(3 / 5)
    assert best_possible(labelled.take([0, 1, 2])) == pytest.approx(2 / 3)  # ar occurs twice, en once


def random_texts(seed=0, count=600):
    rng = np.random.default_rng(seed)
    texts = [f"t{n}" for n in rng.integers(0, 300, count)]
    return Labelled.of(texts, [str(n) for n in rng.choice(3, count, p=[0.7, 0.25, 0.05])])


def test_splits_share_no_text_and_each_class_has_its_shares():
    labelled = distinct(random_texts())
    assert best_possible(labelled) < 0.9  # many are ambiguous
    splits = split_labelled(labelled, (0.6, 0.2, 0.2), seed=3)
    assert sorted(pair for split in splits for pair in pairs(split)) == sorted(pairs(labelled))
    texts = [{same(text) for text in split.texts} for split in splits]
    assert not (texts[0] & texts[1])
    assert not (texts[0] & texts[2])
    assert not (texts[1] & texts[2])
    counts = np.array([np.bincount(split.labels, minlength=3) for split in splits])
    np.testing.assert_allclose(counts / counts.sum(axis=0), np.array([[0.6], [0.2], [0.2]]) * np.ones(3), atol=0.06)
    again, other = split_labelled(labelled, (0.6, 0.2, 0.2), seed=3), split_labelled(labelled, (0.6, 0.2, 0.2), seed=4)
    assert [split.texts for split in again] == [split.texts for split in splits]
    assert other[0].texts != splits[0].texts
    assert all(split.classes == labelled.classes for split in splits)


def test_the_smallest_class_is_in_every_split():
    labelled = Labelled.of([f"a{n}" for n in range(40)] + ["x", "y", "z"], ["big"] * 40 + ["small"] * 3)
    assert [np.bincount(split.labels).tolist() for split in split_labelled(labelled)] == [[32, 1], [4, 1], [4, 1]]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.8, 0.2), "split_labelled: shares must be 3 numbers, of training, validation, test, got 2"),
        ((0.8, 0.2, 0.0), "split_labelled: the test share must be a positive number, got 0.0"),
        ((0.8, 0.2, 0.1), "split_labelled: shares must have the sum 1, got 1.1"),
    ],
)
def test_bad_shares_are_refused(shares, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        split_labelled(random_texts(), shares)


def test_a_class_too_small_to_split_is_refused():
    labelled = Labelled.of(["a", "b", "c", "d", "D"], ["x"] * 3 + ["y"] * 2)
    with pytest.raises(ValueError, match="class 'y' must have at least 3 texts, got 1"):
        split_labelled(labelled)


@pytest.mark.skipif(not (SHARED / "rt_polarity").is_dir(), reason="rt-polarity is not in ../shared/data/rt_polarity")
def test_the_original_polarity_corpus_is_read():
    labelled = read_labelled(SHARED / "rt_polarity")
    assert np.bincount(labelled.labels).tolist() == [5331, 5331]
    assert labelled.texts[0] == "simplistic , silly and tedious ."
    assert sum("\u00e9" in text for text in labelled.texts) > 20


@pytest.mark.skipif(not (SHARED / "names").is_dir(), reason="the names are not in ../shared/data/names")
def test_the_original_names_are_read():
    labelled = read_labelled(SHARED / "names")
    once = distinct(labelled)
    assert (len(labelled.classes), len(labelled.texts), len(once.texts)) == (18, 20050, 18004)
    assert np.bincount(once.labels)[once.classes.index("Arabic")] == 108
    assert len({same(text) for text in once.texts}) / len(once.texts) == pytest.approx(best_possible(once))
