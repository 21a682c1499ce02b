"""Flax's cells with converted parameters give the same outputs, over sequences of different lengths."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnn_jax import GRU, LSTM, VanillaRNN, unroll
from rnn_jax.interop import (
    from_flax_linen,
    from_flax_nnx,
    to_flax_linen,
    to_flax_nnx,
)

STEPS, BATCH, INPUTS, HIDDEN = 5, 3, 3, 4
LENGTHS = jnp.array([5, 1, 3])
VALID = np.arange(STEPS)[:, None, None] < np.asarray(LENGTHS)[:, None]


def add_noise(tree):
    """Adds noise to the initial parameters, so that no bias is zero."""
    rng = np.random.default_rng(2)
    return jax.tree.map(lambda leaf: leaf + jnp.asarray(0.3 * rng.normal(size=leaf.shape), leaf.dtype), tree)


def jitted(function):
    """Compiles without optimisation, because every program runs once."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def run_like_flax(cell, params, xs):
    """Returns the final state in the order of Flax, (c, h), and the outputs."""
    final, ys = jitted(lambda p, x: unroll(cell, p, x, lengths=LENGTHS))(params, xs)
    return ((final.c, final.h) if isinstance(cell, LSTM) else final), ys


def assert_same_run(ours, theirs):
    """Compares final states and outputs; outputs in the padding are zero here and undefined in Flax."""
    (our_final, our_ys), (their_final, their_ys) = ours, theirs
    chex.assert_trees_all_close((our_final, our_ys), (their_final, their_ys * VALID), rtol=1e-5, atol=1e-6)


def run_linen(layer, xs):
    """Returns the variables of a layer, and its final carry and outputs."""
    with jax.numpy_rank_promotion("allow"):
        variables = add_noise(jitted(layer.init)(jax.random.key(0), xs))
        return variables, jitted(lambda v: layer.apply(v, xs, seq_lengths=LENGTHS))(variables)


def draw_xs():
    return jnp.asarray(np.random.default_rng(0).normal(size=(STEPS, BATCH, INPUTS)), jnp.float32)


@pytest.mark.parametrize(
    ("cell", "module"),
    [
        (VanillaRNN(INPUTS, HIDDEN), nn.SimpleCell(HIDDEN)),
        pytest.param(
            VanillaRNN(INPUTS, HIDDEN, jax.nn.relu),
            nn.SimpleCell(HIDDEN, activation_fn=jax.nn.relu),
            marks=pytest.mark.extended,
        ),
        pytest.param(LSTM(INPUTS, HIDDEN), nn.LSTMCell(HIDDEN), marks=pytest.mark.extended),
        (LSTM(INPUTS, HIDDEN), nn.OptimizedLSTMCell(HIDDEN)),
        (GRU(INPUTS, HIDDEN), nn.GRUCell(HIDDEN)),
    ],
    ids=["simple", "simple-relu", "lstm", "optimized-lstm", "gru"],
)
def test_flax_linen_gives_the_same_outputs(cell, module):
    xs, layer = draw_xs(), nn.RNN(module, time_major=True, return_carry=True)
    variables, theirs = run_linen(layer, xs)
    weights = variables["params"]["cell"]
    params = from_flax_linen(cell, weights)
    assert_same_run(run_like_flax(cell, params, xs), theirs)
    chex.assert_trees_all_equal(to_flax_linen(cell, params), weights)


def test_flax_linen_residual_adds_an_identity_to_w_h():
    xs, cell = draw_xs(), VanillaRNN(INPUTS, HIDDEN)
    layer = nn.RNN(nn.SimpleCell(HIDDEN, residual=True), time_major=True, return_carry=True)
    variables, theirs = run_linen(layer, xs)
    params = from_flax_linen(cell, variables["params"]["cell"])
    assert_same_run(run_like_flax(cell, params._replace(w_h=params.w_h + jnp.eye(HIDDEN)), xs), theirs)


@pytest.mark.parametrize(
    ("cell", "kind", "options"),
    [
        (VanillaRNN(INPUTS, HIDDEN), nnx.SimpleCell, {}),
        pytest.param(LSTM(INPUTS, HIDDEN), nnx.LSTMCell, {"optimized": False}, marks=pytest.mark.extended),
        (LSTM(INPUTS, HIDDEN), nnx.OptimizedLSTMCell, {}),
        (GRU(INPUTS, HIDDEN), nnx.GRUCell, {}),
    ],
    ids=["simple", "lstm", "optimized-lstm", "gru"],
)
def test_flax_nnx_gives_the_same_outputs(cell, kind, options):
    xs = draw_xs()

    def run(module):
        with jax.numpy_rank_promotion("allow"):
            return nnx.RNN(module, time_major=True, return_carry=True)(xs, seq_lengths=LENGTHS)

    module = kind(INPUTS, HIDDEN, rngs=nnx.Rngs(0))
    state = nnx.state(module, nnx.Param)
    nnx.update(module, add_noise(state))
    weights = nnx.to_pure_dict(nnx.state(module, nnx.Param))
    params = from_flax_nnx(cell, weights)
    theirs = run(module)
    assert_same_run(run_like_flax(cell, params, xs), theirs)

    saved = to_flax_nnx(cell, params, **options)
    chex.assert_trees_all_equal(saved, weights)
    other = kind(INPUTS, HIDDEN, rngs=nnx.Rngs(1))
    nnx.update(other, saved)
    chex.assert_trees_all_equal(run(other), theirs)
