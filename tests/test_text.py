"""Long texts: reading, splitting, the vocabulary of the training split, streams of ids."""

import re

import jax
import numpy as np
import pytest

from rnn_jax.data import Corpus, Streams, Vocabulary, read_text, split, standard_library


def test_a_text_is_read_without_byte_order_mark_and_carriage_returns(tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffone\r\nzwölf\n".encode())
    assert read_text(path) == "one\nzwölf\n"
    assert read_text(str(path)) == "one\nzwölf\n"


def test_files_without_text_are_refused_by_name(tmp_path):
    latin, empty = tmp_path / "latin.txt", tmp_path / "empty.txt"
    latin.write_bytes("abc zwölf".encode("latin-1"))
    empty.write_bytes(b"")
    for path, message in (
        (latin, f"{latin}, line 1: must be a UTF-8 text, got byte 0xf6 at 6 ("),
        (empty, f"{empty}: must hold a text, got an empty file"),
        (tmp_path / "none.txt", "none.txt: cannot be read: No such file or directory"),
        (tmp_path, f"{tmp_path}: cannot be read: Is a directory"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            read_text(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16le", "utf-16be"])
def test_a_text_in_utf_16_is_refused_with_its_encoding(tmp_path, encoding):
    path = tmp_path / "text.txt"
    path.write_bytes("Grüß Gott\n".encode(encoding))
    with pytest.raises(ValueError, match=rf"must be a UTF-8 text, got .*UTF-16 \(`iconv -f {encoding} -t utf-8`"):
        read_text(path)


def test_the_standard_library_is_the_same_text_every_time():
    text = standard_library(3000)
    assert len(text) == 3000
    assert standard_library(3000) == text
    assert standard_library(1000) == text[:1000]
    assert "import" in text


def test_modules_are_read_in_alphabetical_order_and_each_in_its_encoding(tmp_path):
    (tmp_path / "b.py").write_bytes("# -*- coding: latin-1 -*-\n# ö\n".encode("latin-1"))
    (tmp_path / "a.py").write_text("a = 1\n", encoding="utf-8")
    (tmp_path / "c.txt").write_text("not a module", encoding="utf-8")
    assert standard_library(10**6, tmp_path) == "a = 1\n# -*- coding: latin-1 -*-\n# ö\n"
    with pytest.raises(ValueError, match="has no module sources"):
        standard_library(10, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="characters must be a positive integer, got 0"):
        standard_library(0)


def test_splits_are_contiguous_and_complete():
    text = "".join(chr(33 + i % 90) for i in range(1003))
    splits = split(text)
    assert "".join(splits) == text
    assert [len(part) for part in splits] == [903, 50, 50]
    assert [len(part) for part in split(text, (0.5, 0.25, 0.25))] == [502, 250, 251]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.9, 0.1), "shares must be 3 numbers, of training, validation, test, got 2"),
        ((0.9, 0.2, 0.1), "shares must have the sum 1, got 1.2"),
        ((0.9, 0.1, 0.0), "the test share must be a positive number, got 0.0"),
        ((1.1, -0.2, 0.1), "the validation share must be a positive number, got -0.2"),
        ((0.98, 0.01, 0.01), "a text of 10 characters leaves none for the validation set"),
    ],
)
def test_bad_shares_are_refused(shares, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        split("0123456789", shares)


def test_the_vocabulary_is_that_of_the_training_split_only():
    corpus = Corpus.of("abcab", "abx", "yzy!")
    assert corpus.vocabulary == Vocabulary(("a", "b", "c"))
    assert corpus.unknown == {"training": 0, "validation": 1, "test": 4}
    assert corpus.validation.tolist() == [4, 5, Vocabulary.UNKNOWN]
    other = Corpus.of("abcab", "ccccc", "a")
    assert other.vocabulary == corpus.vocabulary
    np.testing.assert_array_equal(other.training, corpus.training)


def test_streams_by_hand():
    streams = Streams.of(np.arange(1, 12), 2, 3)  # 10 targets: 5 a stream, in segments of 3 and 2
    np.testing.assert_array_equal(streams.columns, np.array([[1, 2, 3, 4, 5, 6, 7], [6, 7, 8, 9, 10, 11, 0]]).T)
    assert (streams.segments, streams.batch_size, streams.counts.tolist()) == (2, 2, [5, 5])
    segment = streams.segment(1)
    np.testing.assert_array_equal(segment.ids, [[4, 9], [5, 10], [6, 11]])
    np.testing.assert_array_equal(segment.targets, [[5, 10], [6, 11], [7, 0]])
    np.testing.assert_array_equal(segment.weights, [[1, 1], [1, 1], [0, 0]])


@pytest.mark.parametrize(
    ("count", "batch_size", "segment"), [(25, 3, 4), (13, 3, 4), (14, 4, 2), (8, 7, 1), (50, 1, 7)]
)
def test_every_id_but_the_first_is_a_target_exactly_once_and_in_order(count, batch_size, segment):
    streams = Streams.of(np.arange(count), batch_size, segment)
    segments = [jax.tree.map(np.asarray, streams.segment(i)) for i in range(streams.segments)]
    weights = np.concatenate([segment.weights for segment in segments]) > 0
    ids, targets = (np.concatenate([getattr(segment, name) for segment in segments]) for name in ("ids", "targets"))
    # Stream after stream, each in order.
    np.testing.assert_array_equal(targets.T[weights.T], np.arange(1, count))
    np.testing.assert_array_equal(ids.T[weights.T], np.arange(count - 1))
    assert weights.sum() == streams.counts.sum() == count - 1
    traced = jax.jit(lambda s, i: s.segment(i))(streams, 0)
    jax.tree.map(np.testing.assert_array_equal, traced, segments[0])


@pytest.mark.parametrize(
    ("ids", "batch_size", "segment", "error", "message"),
    [
        (np.arange(12), 3, 4, ValueError, "3 streams of at least one segment of 4 steps need 13 ids, got 12"),
        (np.arange(4), 0, 1, ValueError, "Streams: batch_size must be a positive integer, got 0"),
        (np.arange(4), 1, 1.0, ValueError, "Streams: segment_length must be a positive integer, got 1.0"),
        (np.ones(9), 2, 2, TypeError, "Streams: ids must be integers, got float64"),
        (np.ones((9, 2), int), 2, 2, ValueError, "Streams: ids must be [N], got shape [9, 2]"),
    ],
)
def test_bad_streams_are_refused(ids, batch_size, segment, error, message):
    with pytest.raises(error, match=re.escape(message)):
        Streams.of(ids, batch_size, segment)
