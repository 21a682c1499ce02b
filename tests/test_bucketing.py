"""Buckets: least padding for their number, every sequence once per epoch, one shape per bucket."""

import inspect
import itertools
import re
import textwrap
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_jax
from rnn_jax.data import BucketBatch, Buckets, Embedding, Vocabulary, bucket_lengths, unpad

LENGTHS = st.lists(st.integers(0, 12), min_size=1, max_size=20)


def make_sequences(lengths, features=()):
    """Sequences with distinct values: sequence i counts up from 1000 i + 1."""
    return [
        np.broadcast_to((1000 * i + 1 + np.arange(n)).reshape(-1, *(1,) * len(features)), (n, *features))
        for i, n in enumerate(lengths)
    ]


def padded_steps(lengths, buckets):
    return sum(min(length for length in buckets if length >= n) - n for n in lengths)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 5))
def test_no_other_buckets_pad_less(lengths, count):
    buckets = bucket_lengths(lengths, count)
    assert all(type(length) is int for length in buckets)  # some checks do not accept np.int64 as a static size
    assert len(buckets) <= count
    assert buckets[-1] == max(*lengths, 1)
    # Every choice of up to `count` lengths, including lengths that no sequence has.
    shorter = range(1, buckets[-1])
    least = min(
        padded_steps(lengths, (*chosen, buckets[-1]))
        for size in range(count)
        for chosen in itertools.combinations(shorter, size)
    )
    assert padded_steps(lengths, buckets) == least


def test_bucket_lengths_by_hand():
    assert bucket_lengths([9, 1, 1, 1, 8], 2) == (1, 9)
    assert bucket_lengths([9, 7, 8, 8], 2) == (8, 9)
    assert bucket_lengths([3, 1, 3], 5) == (1, 3)
    assert bucket_lengths([0, 0], 3) == (1,)
    assert bucket_lengths(np.array([200, 100], np.uint8), 1) == (200,)


def test_thousands_of_distinct_lengths_are_quick():
    start = time.perf_counter()
    buckets = bucket_lengths(np.random.default_rng(0).permutation(2000) + 1, 16)
    assert time.perf_counter() - start < 5  # 0.1 s on an idle core
    assert buckets == tuple(range(125, 2001, 125))  # equally frequent lengths give equal steps


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 4), st.integers(1, 5), st.none() | st.integers(0, 9), st.sampled_from([(), (2,)]))
def test_an_epoch_holds_every_sequence_once(lengths, count, batch_size, seed, features):
    sequences = make_sequences(lengths, features)
    buckets = Buckets.of(sequences, count)
    rng = None if seed is None else np.random.default_rng(seed)
    seen = []
    per_bucket = {length: [] for length in buckets.lengths}
    for values, batch_lengths, indices in buckets.batches(sequences, batch_size, rng):
        assert values.shape == (len(values), batch_size, *features)
        assert values.dtype == sequences[0].dtype
        assert batch_lengths.dtype == indices.dtype == np.int32
        per_bucket[len(values)].append(indices)
        for index, sequence in zip(indices, unpad(values, batch_lengths), strict=True):
            if index == -1:
                assert len(sequence) == 0
            else:
                np.testing.assert_array_equal(sequence, sequences[index])
                seen.append(index)
        assert np.count_nonzero(values) == sum(batch_lengths) * np.prod(features, dtype=int)  # zeros elsewhere
    assert sorted(seen) == list(range(len(sequences)))
    for length, batches in per_bucket.items():
        columns = np.concatenate(batches)
        assert all(length == min(b for b in buckets.lengths if b >= lengths[i]) for i in columns if i >= 0)
        assert sum(columns == -1) == -sum(columns >= 0) % batch_size  # fillers in one batch only, as few as possible


def test_batches_are_in_order_without_a_generator():
    batches = list(Buckets((2, 4)).batches(make_sequences([3, 1, 4, 2, 0]), 2))
    assert [len(batch.values) for batch in batches] == [2, 2, 4]
    assert [batch.indices.tolist() for batch in batches] == [[1, 3], [4, -1], [0, 2]]
    assert [batch.lengths.tolist() for batch in batches] == [[1, 2], [0, 0], [3, 4]]
    assert batches[2].values.tolist() == [[1, 2001], [2, 2002], [3, 2003], [0, 2004]]


def test_a_generator_shuffles_within_and_across_buckets():
    sequences = make_sequences([1, 5] * 50)
    buckets = Buckets((1, 5))

    def epoch(rng):
        return [(len(batch.values), batch.indices.tolist()) for batch in buckets.batches(sequences, 5, rng)]

    rng = np.random.default_rng(0)
    first, second = epoch(rng), epoch(rng)
    assert first == epoch(np.random.default_rng(0))
    assert first != second
    steps = [length for length, _ in first]
    assert steps != sorted(steps)
    assert steps != [length for length, _ in second]
    short = [index for length, indices in first for index in indices if length == 1]
    assert short != sorted(short)
    members = {frozenset(indices) for _, indices in first}  # the members of a batch change, too
    assert members != {frozenset(indices) for _, indices in second}


def test_compares_and_hashes_by_value():
    assert Buckets((1, 5)) == Buckets.of(make_sequences([5, 1]), 2)
    assert len({Buckets((1, 5)), Buckets((1, 5)), Buckets((1, 6))}) == 2


def test_padding_share():
    assert Buckets((2, 4)).padding_share(make_sequences([3, 1, 4, 2, 0])) == pytest.approx(4 / 14)
    assert Buckets((4,)).padding_share(make_sequences([4])) == 0


def test_a_whole_epoch_compiles_once_per_bucket():
    lengths = np.random.default_rng(1).permutation(np.repeat(np.arange(1, 301), 2))  # 300 different lengths
    sequences = [np.full((n, 1), 1 / n, np.float32) for n in lengths]
    buckets = Buckets.of(sequences, 4)
    cell = rnn_jax.GRU(1, 2)
    params = cell.init(jax.random.key(0))
    traces = []

    @jax.jit
    def loss(params, batch):
        traces.append(batch.values.shape)
        (h_last, ys) = rnn_jax.unroll(cell, params, batch.values, lengths=batch.lengths)
        return jnp.sum(ys), h_last

    epoch = list(buckets.batches(sequences, 16, np.random.default_rng(0)))
    assert any(-1 in batch.indices for batch in epoch)
    results = [loss(params, batch) for batch in epoch]
    assert sorted(traces) == [(length, 16, 1) for length in buckets.lengths]
    assert len(traces) == len(buckets.lengths) == 4

    # A sequence ends in the same state in a batch and alone, and a filler in the initial state.
    batch, (_, h_last) = epoch[0], results[0]
    assert isinstance(batch, BucketBatch)
    for column in (0, 15):
        alone, _ = rnn_jax.unroll(cell, params, sequences[batch.indices[column]])
        np.testing.assert_allclose(h_last[column], alone, rtol=1e-5)
    for batch, (_, h_last) in zip(epoch, results, strict=True):
        assert not np.any(h_last[batch.indices == -1])


def test_real_text_by_its_lines():
    lines = inspect.getsource(textwrap).splitlines()  # some are blank: sequences of length 0
    vocabulary = Vocabulary.of(lines)
    sequences = [vocabulary.encode(line) for line in lines]
    shares = [Buckets.of(sequences, count).padding_share(sequences) for count in (1, 2, 4, 8)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.4
    assert shares[-1] < 0.1

    encoder = Embedding(len(vocabulary), 3)
    table = encoder.init(jax.random.key(0))
    decoded = {}
    for batch in Buckets.of(sequences, 4).batches(sequences, 32, np.random.default_rng(0)):
        assert np.all(np.isfinite(encoder.apply(table, batch.values)))
        for index, ids in zip(batch.indices.tolist(), unpad(batch.values, batch.lengths), strict=True):
            decoded[index] = "".join(vocabulary.decode(ids))
    assert decoded.pop(-1) == ""
    assert [decoded[index] for index in range(len(lines))] == lines


ONES = make_sequences([1, 3, 2])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: bucket_lengths([], 1), ValueError, "lengths must be [N] with at least one length, got shape (0,)"),
        (lambda: bucket_lengths(3, 1), ValueError, "lengths must be [N] with at least one length, got shape ()"),
        (lambda: bucket_lengths([1.0], 1), TypeError, "bucket_lengths: lengths must be integers, got float64"),
        (lambda: bucket_lengths([1, -2], 1), ValueError, "bucket_lengths: lengths must be at least 0, got -2 at 1"),
        (lambda: bucket_lengths([1], 0), ValueError, "bucket_lengths: count must be a positive integer, got 0"),
        (lambda: Buckets([1]), TypeError, "Buckets: lengths must be a tuple of integers, got list"),
        (lambda: Buckets(()), ValueError, "Buckets: lengths must hold at least one length, got none"),
        (lambda: Buckets((0, 1)), ValueError, "Buckets: lengths[0] must be a positive integer, got 0"),
        (lambda: Buckets((1, 2.0)), ValueError, "Buckets: lengths[1] must be a positive integer, got 2.0"),
        (lambda: Buckets((2, 2)), ValueError, "Buckets: lengths must be strictly increasing, got (2, 2)"),
        (lambda: Buckets.of([], 1), ValueError, "Buckets.of: sequences must hold at least one sequence, got none"),
        (lambda: Buckets.of(ONES, 0), ValueError, "count must be a positive integer, got 0"),
        (lambda: Buckets((3,)).batches([], 1), ValueError, "Buckets.batches: sequences must hold at least one"),
        (lambda: Buckets((3,)).batches(ONES, 0), ValueError, "Buckets.batches: batch_size must be a positive integer"),
        (lambda: Buckets((2,)).batches(ONES, 1), ValueError, "sequence 1 must have at most 2 steps, the last bucket's"),
        (lambda: Buckets((2,)).padding_share(ONES), ValueError, "sequence 1 must have at most 2 steps, the last"),
        (lambda: Buckets((9,)).batches([*ONES, [0.5]], 1), TypeError, "sequence 3 must be int64 as sequence 0, got fl"),
        (lambda: Buckets((9,)).batches([*ONES, [[1]]], 1), ValueError, "sequence 3 must have the trailing shape ()"),
    ],
)
def test_refused_by_name_at_the_call(make, error, words):
    with pytest.raises(error, match=re.escape(words)):
        make()
