"""One-hot and embedding: one interface; an id out of range is refused if concrete and NaN if traced."""

import re

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnn_jax
from rnn_jax.data import Embedding, OneHot, pad

SIZE = 5
ENCODERS = [OneHot(SIZE), Embedding(SIZE, 3), OneHot(1), Embedding(1, 2)]
every_encoder = pytest.mark.parametrize("encoder", ENCODERS, ids=repr)
DTYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
TABLE = jax.random.normal(jax.random.key(1), (SIZE, 3))


def as_params(table):
    return {"params": {"embedding": table}}


@every_encoder
@pytest.mark.parametrize("shape", [(), (0,), (4,), (4, 2), (4, 2, 3)])
def test_ids_have_any_shape(encoder, shape):
    params = encoder.init(jax.random.key(0))
    ids = np.random.default_rng(0).integers(0, encoder.size, shape)
    got = encoder.apply(params, ids)
    assert got.shape == (*shape, encoder.features)
    assert got.dtype == jnp.result_type(float)
    assert np.all(np.isfinite(got))


@every_encoder
def test_each_id_is_encoded_alone(encoder):
    params = encoder.init(jax.random.key(0))
    ids = np.random.default_rng(0).integers(0, encoder.size, (4, 3))
    batch = encoder.apply(params, ids)
    np.testing.assert_array_equal(jax.jit(encoder.apply)(params, ids), batch)
    np.testing.assert_array_equal(jax.vmap(encoder.apply, (None, 1), 1)(params, ids), batch)
    for index in np.ndindex(ids.shape):
        np.testing.assert_array_equal(encoder.apply(params, int(ids[index])), batch[index])


@every_encoder
@pytest.mark.parametrize("dtype", DTYPES)
def test_ids_have_any_integer_dtype(encoder, dtype):
    params = encoder.init(jax.random.key(0))
    expected = encoder.apply(params, np.arange(encoder.size))
    np.testing.assert_array_equal(encoder.apply(params, np.arange(encoder.size, dtype=dtype)), expected)


def test_by_hand():
    np.testing.assert_array_equal(OneHot(3).apply((), [2, 0]), [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(Embedding(SIZE, 3).apply(as_params(TABLE), [4, 0, 4]), TABLE[jnp.array([4, 0, 4])])


def test_an_embedding_whose_table_is_the_identity_is_one_hot():
    ids = np.random.default_rng(0).integers(0, SIZE, (6, 2))
    embedding, one_hot = Embedding(SIZE, SIZE), OneHot(SIZE)
    assert embedding.features == one_hot.features == SIZE
    np.testing.assert_array_equal(embedding.apply(as_params(jnp.eye(SIZE)), ids), one_hot.apply((), ids))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, SIZE - 1), min_size=4, max_size=4))
def test_an_embedding_is_one_hot_times_its_table(ids):
    ids = jnp.array(ids)
    embed = lambda table: Embedding(SIZE, 3).apply(as_params(table), ids)  # noqa: E731
    multiply = lambda table: OneHot(SIZE).apply((), ids) @ table  # noqa: E731
    np.testing.assert_allclose(embed(TABLE), multiply(TABLE), rtol=1e-6)
    gradient = jax.grad(lambda table: jnp.sum(jnp.sin(embed(table))))(TABLE)
    np.testing.assert_allclose(gradient, jax.grad(lambda table: jnp.sum(jnp.sin(multiply(table))))(TABLE), rtol=1e-5)
    unseen = np.setdiff1d(np.arange(SIZE), ids)
    assert not np.any(gradient[unseen])


def test_parameters_are_those_of_flax():
    params = Embedding(1000, 16).init(jax.random.key(0))
    (table,) = jax.tree.leaves(params)
    assert table.shape == (1000, 16)
    assert table.dtype == jnp.result_type(float)
    assert float(jnp.std(table)) == pytest.approx(1 / 4, rel=0.05)  # the default of flax: variance 1 / features
    assert OneHot(4).init(jax.random.key(0)) == ()


@pytest.mark.parametrize("encoder", [OneHot(SIZE), Embedding(SIZE, 3)], ids=repr)
def test_padding_reaches_neither_value_nor_gradient(encoder):
    cell = rnn_jax.LSTM(encoder.features, 4)
    params = (encoder.init(jax.random.key(0)), cell.init(jax.random.key(1)))
    # Id 4 is in no sequence, only in padding.
    sequences = [[1, 2, 3, 1], [3], [2, 2], []]

    def loss(params, ids, lengths):
        state, ys = rnn_jax.unroll(cell, params[1], encoder.apply(params[0], ids), lengths=lengths)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves((state, ys)))

    sequences = [np.array(sequence, np.int32) for sequence in sequences]
    value_and_grad = jax.jit(jax.value_and_grad(loss))
    results = [value_and_grad(params, *pad(sequences, 6, value)) for value in (0, 4, -1)]
    for result in results[1:]:
        jax.tree.map(np.testing.assert_array_equal, results[0], result)
    value, (table_gradient, cell_gradient) = results[0]
    assert np.isfinite(value)
    assert all(np.any(leaf) for leaf in jax.tree.leaves(cell_gradient))
    for leaf in jax.tree.leaves(table_gradient):  # of the embedding
        assert np.all(np.any(leaf[1:4], axis=1))
        assert not np.any(leaf[jnp.array([0, 4])])


@every_encoder
@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.uint8])
def test_a_traced_id_out_of_range_is_nan(encoder, dtype):
    params = encoder.init(jax.random.key(0))
    last = np.iinfo(dtype).max
    ids = np.array([0, encoder.size, last, *([-1, -encoder.size] if dtype != np.uint8 else [])], dtype)
    got = jax.jit(encoder.apply)(params, ids)
    assert np.all(np.isfinite(got[0]))
    assert np.all(np.isnan(got[1:]))
    np.testing.assert_array_equal(jax.vmap(lambda i: encoder.apply(params, i))(ids), got)


def test_a_size_may_exceed_the_range_of_the_dtype_of_ids():
    ids = np.array([0, 127], np.int8)
    np.testing.assert_array_equal(jax.jit(OneHot(300).apply)((), ids), np.eye(300)[ids])
    assert np.all(np.isnan(jax.jit(OneHot(300).apply)((), np.array([-1, -128], np.int8))))


@every_encoder
@pytest.mark.parametrize(
    ("ids", "got"),
    [
        (lambda size: np.array([0, size]), lambda size: size),
        (lambda size: [[0], [-1]], lambda size: -1),
        (lambda size: jnp.array(-size), lambda size: -size),
        (lambda size: size, lambda size: size),
        (lambda size: np.uint8([255]), lambda size: 255),
        (lambda size: np.array([2**32]), lambda size: 2**32),  # as int32 it would be 0
        (lambda size: np.array([2**64 - 1], np.uint64), lambda size: 2**64 - 1),
    ],
)
def test_an_id_out_of_range_is_refused_by_value(encoder, ids, got):
    words = f"{type(encoder).__name__}: ids must be in [0, {encoder.size}), got {got(encoder.size)}"
    params = encoder.init(jax.random.key(0))
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        encoder.apply(params, ids(encoder.size))


@every_encoder
@pytest.mark.parametrize("ids", [np.zeros(2), jnp.zeros((), bool), [0.0], [True]], ids=repr)
def test_ids_that_are_not_integers_are_refused(encoder, ids):
    params = encoder.init(jax.random.key(0))
    words = f"^{type(encoder).__name__}: ids must be integers, got (float|bool)"
    with pytest.raises(TypeError, match=words):
        encoder.apply(params, ids)
    with pytest.raises(TypeError, match=words):
        jax.jit(encoder.apply)(params, jnp.asarray(ids))


def test_encoders_compare_and_hash_by_value():
    assert OneHot(3) == OneHot(3) != OneHot(4)
    assert len({Embedding(3, 2), Embedding(3, 2), Embedding(3, 4)}) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: OneHot(0), "OneHot: size must be a positive integer, got 0"),
        (lambda: Embedding(0, 3), "Embedding: size must be a positive integer, got 0"),
        (lambda: Embedding(3, 2.0), "Embedding: features must be a positive integer, got 2.0"),
    ],
)
def test_bad_sizes_are_refused_by_name(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_table_of_another_size_is_refused():
    with pytest.raises(flax.errors.ScopeParamShapeError, match="embedding"):
        Embedding(SIZE + 1, 3).apply(as_params(TABLE), [0])
