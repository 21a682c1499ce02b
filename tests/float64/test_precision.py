"""The tests of this folder run in 64 bit."""

import chex
import jax
import jax.numpy as jnp

from rnn_jax import trees


def test_default_float_is_64_bit():
    assert jnp.zeros(()).dtype == jnp.float64


def test_cells_stay_in_64_bit(problem, run):
    cell, _, _, xs = problem
    params = jax.jit(cell.init)(jax.random.key(0))
    final_state, ys = run(cell, params, xs)
    for leaf in jax.tree.leaves((params, ys)):
        chex.assert_type(leaf, jnp.float64)
    for leaf in trees.floats(final_state):
        assert jnp.finfo(leaf.dtype).dtype == jnp.float64  # a complex number has two parts
