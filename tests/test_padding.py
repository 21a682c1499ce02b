"""Sequences to one time-major array and back without truncation; bad input is refused by its index."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_jax.data import pad, unpad

DTYPES = [np.int8, np.uint8, np.int32, np.int64, np.float32, np.float64]


@st.composite
def ragged(draw):
    dtype = draw(st.sampled_from(DTYPES))
    trailing = draw(st.sampled_from([(), (3,), (2, 1)]))
    lengths = draw(st.lists(st.integers(0, 7), min_size=1, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return [rng.integers(1, 100, (n, *trailing)).astype(dtype) for n in lengths]


@settings(deadline=None)
@given(ragged(), st.none() | st.integers(7, 9), st.sampled_from([0, 7]))
def test_unpad_inverts_pad(sequences, length, value):
    values, lengths = pad(sequences, length, value)
    steps = max(map(len, sequences)) if length is None else length
    assert values.shape == (steps, len(sequences), *sequences[0].shape[1:])
    assert values.dtype == sequences[0].dtype
    assert lengths.dtype == np.int32
    assert lengths.tolist() == [len(sequence) for sequence in sequences]
    assert all(np.all(values[n:, column] == value) for column, n in enumerate(lengths))
    back = unpad(jnp.asarray(values), jnp.asarray(lengths)) if values.itemsize <= 4 else unpad(values, lengths)
    for got, sequence in zip(back, sequences, strict=True):
        assert got.dtype == sequence.dtype
        np.testing.assert_array_equal(got, sequence)


def test_small_batches_by_hand():
    values, lengths = pad([[1, 2, 3], [4], [5, 6]], value=-1)
    assert values.tolist() == [[1, 4, 5], [2, -1, 6], [3, -1, -1]]
    assert lengths.tolist() == [3, 1, 2]
    assert np.isnan(pad([[0.5]], 2, np.nan).values[1, 0])
    assert pad([np.zeros((0, 2))]).values.shape == (0, 1, 2)
    assert unpad(np.zeros((4, 0)), np.zeros(0, int)) == []


INTS, FLOATS = np.arange(3), np.zeros((3, 2))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: pad([]), ValueError, "pad: sequences must hold at least one sequence, got none"),
        (lambda: pad([INTS, INTS], 2), ValueError, "sequence 0 must have at most length = 2 steps, got 3"),
        (lambda: pad([INTS[:2], INTS], 2), ValueError, "sequence 1 must have at most length = 2 steps, got 3"),
        (lambda: pad([INTS], -1), ValueError, "pad: length must be an integer of at least 0, got -1"),
        (lambda: pad([INTS], 3.0), ValueError, "pad: length must be an integer of at least 0, got 3.0"),
        (lambda: pad([INTS, 5]), ValueError, "pad: sequence 1 must be [n, ...], got shape ()"),
        (lambda: pad([INTS, INTS * 0.5]), TypeError, "pad: sequence 1 must be int64 as sequence 0, got float64"),
        (lambda: pad([INTS, INTS.astype(np.int8)]), TypeError, "sequence 1 must be int64 as sequence 0, got int8"),
        (lambda: pad([FLOATS, FLOATS[:, 0]]), ValueError, "1 must have the trailing shape (2,) of sequence 0, got ()"),
        (lambda: pad([FLOATS, FLOATS, FLOATS.T]), ValueError, "sequence 2 must have the trailing shape (2,) of seq"),
        (lambda: pad(["ab"]), TypeError, "pad: sequence 0 must be integer or floating point, got <U2"),
        (lambda: pad([INTS, INTS > 1]), TypeError, "pad: sequence 1 must be integer or floating point, got bool"),
        (lambda: pad([INTS], value=0.5), TypeError, "value must be an integer as the sequences are int64, got 0.5"),
        (lambda: pad([INTS], value=True), TypeError, "value must be an integer as the sequences are int64, got True"),
        (lambda: pad([np.uint8([1])], value=-1), ValueError, "pad: value must be in the range of uint8, got -1"),
        (lambda: pad([np.uint8([1])], value=256), ValueError, "pad: value must be in the range of uint8, got 256"),
        (lambda: unpad(INTS, [3]), ValueError, "unpad: values must be [T, B, ...], got shape (3,)"),
        (lambda: unpad(FLOATS, [1, 2, 3]), ValueError, "lengths must be [2], as values has columns, got shape (3,)"),
        (lambda: unpad(FLOATS, 2), ValueError, "lengths must be [2], as values has columns, got shape ()"),
        (lambda: unpad(FLOATS, [1.0, 2.0]), TypeError, "unpad: lengths must be integers, got float64"),
        (lambda: unpad(FLOATS, [3, 4]), ValueError, "unpad: lengths must be in [0, 3], got 4 at 1"),
        (lambda: unpad(FLOATS, [-1, 3]), ValueError, "unpad: lengths must be in [0, 3], got -1 at 0"),
    ],
)
def test_bad_input_is_refused_by_name(make, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make()
