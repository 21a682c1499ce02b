"""Tokens to ids and back; bad tokens and ids are refused by name and index."""

import collections
import inspect
import re
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_jax.data import Vocabulary

ABC = Vocabulary(("a", "b", "c"))
WORDS = st.lists(st.text("xyz", min_size=1, max_size=2), max_size=8)
SENTENCES = st.lists(WORDS, min_size=1, max_size=6).filter(any)


def test_special_tokens_have_the_first_ids():
    assert (Vocabulary.PADDING, Vocabulary.UNKNOWN, Vocabulary.BEGIN, Vocabulary.END) == (0, 1, 2, 3)
    assert ABC.decode(range(7), specials=True) == ["<pad>", "<unk>", "<bos>", "<eos>", "a", "b", "c"]
    assert len(ABC) == 7


def test_encodes_a_string_by_characters_and_a_list_by_words():
    ids = ABC.encode("cab?", begin=True, end=True)
    assert ids.dtype == np.int32
    assert ids.tolist() == [2, 6, 4, 5, 1, 3]
    assert ABC.encode(["c", "ab"]).tolist() == [6, 1]
    assert ABC.encode(iter("ab"), end=True).tolist() == [4, 5, 3]
    assert ABC.encode("").shape == (0,)
    assert ABC.encode("").dtype == np.int32


def test_decoding_continues_after_end_and_drops_special_tokens():
    ids = [2, 4, 3, 1, 5, 0, 0]
    assert ABC.decode(ids) == ["a", "b"]
    assert ABC.decode(np.array(ids, np.uint8), specials=True) == ["<bos>", "a", "<eos>", "<unk>", "b", "<pad>", "<pad>"]
    assert ABC.decode(jnp.array(ids)) == ["a", "b"]
    assert ABC.decode([]) == []


def test_special_tokens_in_a_text_have_their_own_ids():
    sentence = ["a", "<unk>", "<eos>", "<pad>"]
    assert Vocabulary.of([sentence]).tokens == ("a",)
    assert ABC.encode(sentence).tolist() == [4, 1, 3, 0]


@settings(deadline=None)
@given(SENTENCES, st.booleans(), st.booleans())
def test_decode_inverts_encode(sentences, begin, end):
    vocabulary = Vocabulary.of(sentences)
    for sentence in sentences:
        ids = vocabulary.encode(sentence, begin=begin, end=end)
        assert vocabulary.decode(ids) == sentence
        assert vocabulary.decode(ids, specials=True) == ["<bos>"] * begin + sentence + ["<eos>"] * end


@settings(deadline=None)
@given(st.lists(st.integers(0, 6)))
def test_encode_inverts_decode(ids):
    assert ABC.encode(ABC.decode(ids, specials=True)).tolist() == ids


@settings(deadline=None)
@given(SENTENCES, st.integers(1, 3), st.integers(5, 9))
def test_tokens_are_ordered_by_count_and_cut_at_both_limits(sentences, min_count, max_size):
    counts = collections.Counter(token for sentence in sentences for token in sentence)
    expected = sorted((-n, token) for token, n in counts.items() if n >= min_count)
    if not expected:
        with pytest.raises(ValueError, match=f"no ordinary token occurs min_count = {min_count} times"):
            Vocabulary.of(sentences, min_count)
        return
    assert Vocabulary.of(sentences, min_count).tokens == tuple(token for _, token in expected)
    vocabulary = Vocabulary.of(sentences, min_count, max_size)
    assert vocabulary.tokens == tuple(token for _, token in expected)[: max_size - 4]
    assert len(vocabulary) == min(max_size, len(expected) + 4)


def test_the_order_of_the_sequences_does_not_matter():
    assert Vocabulary.of(["ba", "cb"]).tokens == ("b", "a", "c")
    assert Vocabulary.of(iter(["cb", "ba"])) == Vocabulary.of([["b", "a"], ["c", "b"]])


def test_compares_and_hashes_by_value():
    same = Vocabulary(tuple("abc"))
    ABC.encode("a")  # its cached table is not part of its value
    assert same == ABC
    assert hash(same) == hash(ABC)
    assert repr(same) == "Vocabulary(tokens=('a', 'b', 'c'))"
    assert Vocabulary(("a", "c", "b")) != ABC


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Vocabulary(["a"]), TypeError, "Vocabulary: tokens must be a tuple of strings, got list"),
        (lambda: Vocabulary("abc"), TypeError, "Vocabulary: tokens must be a tuple of strings, got str"),
        (lambda: Vocabulary(()), ValueError, "Vocabulary: tokens must hold at least one token, got none"),
        (lambda: Vocabulary(("a", 1)), TypeError, "Vocabulary: tokens must hold strings, got 1 at 1"),
        (lambda: Vocabulary(("a", "b", "a")), ValueError, "must not repeat, got 'a' at 0 and again at 2"),
        (lambda: Vocabulary(("a", "<bos>")), ValueError, "must not hold the special tokens, got '<bos>' at 1"),
        (lambda: Vocabulary.of("abc"), TypeError, "must be a list, got one string (pass [text] instead): 'abc'"),
        (lambda: Vocabulary.of([]), ValueError, "Vocabulary.of: no ordinary token occurs min_count = 1 times"),
        (lambda: Vocabulary.of(["", ["<unk>"]]), ValueError, "no ordinary token occurs min_count = 1 times"),
        (lambda: Vocabulary.of(["a", b"a"]), TypeError, "Vocabulary.of: sequence 1 must hold strings, got 97 at 0"),
        (lambda: Vocabulary.of([["a", ["b"]]]), TypeError, "Vocabulary.of: sequence 0 must hold strings, got ['b'] at"),
        (lambda: Vocabulary.of(["a"], 0), ValueError, "Vocabulary.of: min_count must be a positive integer, got 0"),
        (
            lambda: Vocabulary.of(["a"], 1, 4),
            ValueError,
            "max_size must be an integer of at least 5, the special tokens",
        ),
        (lambda: ABC.encode([4, 5]), TypeError, "Vocabulary.encode: sequence must hold strings, got 4 at 0"),
        (lambda: ABC.decode([4, 7]), ValueError, "Vocabulary.decode: ids must be in [0, 7), got 7 at 1"),
        (lambda: ABC.decode([-1]), ValueError, "Vocabulary.decode: ids must be in [0, 7), got -1 at 0"),
        (lambda: ABC.decode([4.0]), TypeError, "Vocabulary.decode: ids must be integers, got float64"),
        (lambda: ABC.decode([True]), TypeError, "Vocabulary.decode: ids must be integers, got bool"),
        (lambda: ABC.decode([[4]]), ValueError, "Vocabulary.decode: ids must be [n], got shape (1, 1)"),
        (lambda: ABC.decode(4), ValueError, "Vocabulary.decode: ids must be [n], got shape ()"),
    ],
)
def test_bad_input_is_refused_by_name(make, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make()


def test_a_real_text_is_encoded_and_decoded():
    lines = inspect.getsource(textwrap).splitlines()
    assert len(lines) > 300
    characters = Vocabulary.of(lines)
    assert characters.tokens[:2] == (" ", "e")  # of indented English
    assert all("".join(characters.decode(characters.encode(line))) == line for line in lines)
    sentences = [line.split() for line in lines]
    words = Vocabulary.of(sentences, min_count=3, max_size=50)
    assert len(words) == 50
    assert "def" in words.tokens
    ids = np.concatenate([words.encode(sentence) for sentence in sentences])
    known = sum(word in words.tokens for sentence in sentences for word in sentence)
    assert np.sum(ids != Vocabulary.UNKNOWN) == known
