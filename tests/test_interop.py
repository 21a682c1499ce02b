"""Parameters to and from other libraries: round trips.

Comparisons with PyTorch and Keras themselves are in tests/float64; these tests only need their names.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn_jax import GRU, LSTM, GRUResetBefore, VanillaRNN
from rnn_jax.cells.projected_lstm import ProjectedLSTM
from rnn_jax.interop import (
    from_flax_linen,
    from_flax_nnx,
    from_keras,
    from_pytorch,
    to_flax_linen,
    to_flax_nnx,
    to_keras,
    to_pytorch,
)
from rnn_jax.layers import Bidirectional, Dropout, RecurrentDropout, Stack

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 3, 4


def draw_params(layer, seed=0):
    """Random parameters without equal numbers, so that exchanging any two of them is detected."""
    rng = np.random.default_rng(seed)
    like = jax.eval_shape(layer.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), like)


def without_inner_bias(params):
    """Sets b_hn to zero, because NNX's GRU has no such bias."""
    return params._replace(b_hn=jnp.zeros_like(params.b_hn)) if hasattr(params, "b_hn") else params


# Round trips to another library and back are exact.

SIZES = st.integers(1, 4)
FORMATS = {
    "keras": (from_keras, to_keras, (VanillaRNN, LSTM, GRU, GRUResetBefore)),
    "linen": (from_flax_linen, to_flax_linen, (VanillaRNN, LSTM, GRU)),
    "nnx": (from_flax_nnx, to_flax_nnx, (VanillaRNN, LSTM, GRU)),
    "nnx-lstm-cell": (from_flax_nnx, lambda *args: to_flax_nnx(*args, optimized=False), (VanillaRNN, LSTM, GRU)),
}


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(data=st.data(), inputs=SIZES, hidden=SIZES)
def test_round_trip_is_exact(name, data, inputs, hidden):
    load, save, cells = FORMATS[name]
    cell = data.draw(st.sampled_from(cells))(inputs, hidden)
    params = draw_params(cell)
    params = without_inner_bias(params) if load is from_flax_nnx else params
    chex.assert_trees_all_equal(load(cell, save(cell, params)), params)


@st.composite
def pytorch_layers(draw):
    """Layers that equal a module of PyTorch."""
    hidden = draw(st.integers(2, 4))
    kinds = [lambda d: VanillaRNN(d, hidden), lambda d: LSTM(d, hidden), lambda d: GRU(d, hidden)]
    make = draw(st.sampled_from([*kinds, lambda d: ProjectedLSTM(d, hidden, proj_size=hidden - 1)]))
    bidirectional, layers, features = draw(st.booleans()), [], draw(SIZES)
    for _ in range(draw(st.integers(1, 3))):
        layers.append(Bidirectional(make(features)) if bidirectional else make(features))
        features = layers[-1].output_size
    return layers[0] if len(layers) == 1 else Stack(layers)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(layer=pytorch_layers(), prefix=st.sampled_from(["", "rnn.", "encoder.0.rnn."]))
def test_pytorch_round_trip_is_exact_among_other_weights(layer, prefix):
    params = draw_params(layer)
    state_dict = {f"{prefix}{name}": array for name, array in to_pytorch(layer, params).items()}
    others = {"head.weight": np.ones((2, 2)), "encoder.1.rnn.weight_ih_l0": np.ones((2, 2))} if prefix else {}
    chex.assert_trees_all_equal(from_pytorch(layer, state_dict | others, prefix), params)


def test_names_are_in_the_order_of_pytorch():
    layer = Stack([Bidirectional(ProjectedLSTM(features, HIDDEN, proj_size=2)) for features in (3, 4)])
    suffixes = ["l0", "l0_reverse", "l1", "l1_reverse"]
    keys = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    state_dict = to_pytorch(layer, draw_params(layer))
    assert list(state_dict) == [f"{key}_{suffix}" for suffix in suffixes for key in keys]
    assert state_dict["weight_ih_l1_reverse"].shape == (16, 4)
    assert state_dict["weight_hh_l1_reverse"].shape == (16, 2)


def test_conversion_can_be_traced_and_differentiated():
    cell = GRU(INPUTS, HIDDEN)
    state_dict = to_pytorch(cell, draw_params(cell))

    def loss(state_dict):
        converted = from_pytorch(cell, to_pytorch(cell, from_pytorch(cell, state_dict)))
        return sum(jnp.sum(leaf) for leaf in converted)

    gradients = jax.jit(jax.grad(loss))(state_dict)
    chex.assert_trees_all_equal(gradients, jax.tree.map(jnp.ones_like, state_dict))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_dtypes_are_kept_and_absent_biases_have_the_same_dtype(dtype):
    cell = GRU(INPUTS, HIDDEN)
    state_dict = {"weight_ih_l0": jnp.ones((12, 3), dtype), "weight_hh_l0": jnp.ones((12, 4), dtype)}
    params = from_pytorch(cell, state_dict)
    assert {leaf.dtype for leaf in params} == {jnp.dtype(dtype)}
    assert not jnp.any(params.b)
    assert not jnp.any(params.b_hn)
    assert {leaf.dtype for leaf in to_pytorch(cell, params).values()} == {jnp.dtype(dtype)}


def test_loaded_arrays_are_copies():
    weights = {name: np.array(array) for name, array in to_keras(LSTM(2, 2), draw_params(LSTM(2, 2))).items()}
    params = from_keras(LSTM(2, 2), weights)
    before = jax.tree.map(np.array, params)
    for array in weights.values():
        array[...] = 0
    chex.assert_trees_all_equal(params, before)


@pytest.mark.parametrize("wrap", [lambda cell: Dropout(cell, 0.5), lambda cell: RecurrentDropout(cell, 0.5)])
def test_dropout_does_not_affect_conversion(wrap):
    cell = LSTM(INPUTS, HIDDEN)
    params = draw_params(cell)
    for load, save in ((f[0], f[1]) for f in FORMATS.values()):
        chex.assert_trees_all_equal(load(wrap(cell), save(wrap(cell), params)), params)
    plain = Stack([Bidirectional(cell), Bidirectional(LSTM(2 * HIDDEN, HIDDEN))])
    wrapped = Dropout(Stack([Bidirectional(wrap(cell)), Dropout(Bidirectional(LSTM(2 * HIDDEN, HIDDEN)), 0.1)]), 0.1)
    params = draw_params(plain)
    chex.assert_trees_all_equal(to_pytorch(wrapped, params), to_pytorch(plain, params))
    chex.assert_trees_all_equal(from_pytorch(wrapped, to_pytorch(plain, params)), params)
