"""Gated cells: what their papers claim of the equations themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import BRC, SLSTM, unroll
from tests.float64.oracles_gated import sigmoid

pytestmark = pytest.mark.extended

D, H, B = 3, 4, 2


def test_slstms_stabiliser_changes_nothing(make_problem, run):
    """From the initial state, h is that of eq. 8-14, which have no stabiliser, and c and n are theirs over exp(m)."""
    cell = SLSTM(D, H)
    _, params, _, xs = make_problem(cell)
    final, hs = run(cell, params, xs)
    w, r, b = (np.split(a, 4) for a in (params.w_i.T, params.w_h[0].T, params.b))
    for row in range(B):
        h, c, n = np.zeros((3, H))
        for t, x in enumerate(xs[:, row]):
            i, f, z, o = (w_g @ x + r_g @ h + b_g for w_g, r_g, b_g in zip(w, r, b, strict=True))
            c = sigmoid(f) * c + np.exp(i) * np.tanh(z)
            n = sigmoid(f) * n + np.exp(i)
            h = sigmoid(o) * (c / n)
            np.testing.assert_allclose(hs[t, row], h, rtol=0, atol=1e-12)
        np.testing.assert_allclose(np.exp(final.m[row]) * np.stack([final.c[row], final.n[row]]), [c, n], rtol=1e-11)


@pytest.mark.parametrize("size", [-2000.0, 2000.0])
def test_slstms_gates_neither_overflow_nor_vanish(size):
    """At pre-activations far beyond the range of an exponential, values and gradients are finite, and n >= 1."""
    cell = SLSTM(D, H)
    params = cell.init(jax.random.key(0))
    params = params._replace(b=params.b + size * jnp.repeat(jnp.array([1.0, 1.0, 0.0, 0.0]), H))

    def loss(params, xs):
        final, hs = unroll(cell, params, xs)
        return jnp.sum(hs**2), (final, hs)

    xs = jax.random.normal(jax.random.key(1), (5, B, D))
    gradient, (final, hs) = jax.jit(jax.grad(loss, has_aux=True))(params, xs)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((gradient, final)))
    assert np.all(np.asarray(final.n) >= 1)
    assert np.any(np.asarray(hs) != 0)


@pytest.mark.parametrize("feedback", [0.5, 1.5])
def test_a_unit_is_bistable_if_its_feedback_exceeds_one(feedback, run):
    """Without inputs h is constant where h = tanh(a h): at 0 alone for a <= 1, else at two other points as well."""
    cell = BRC(1, 2)
    params = jax.tree.map(jnp.zeros_like, cell.init(jax.random.key(0)))
    params = params._replace(b=jnp.repeat(jnp.array([np.arctanh(feedback - 1), 0.0]), 2))
    h, _ = run(cell, params, jnp.zeros((400, 1)), jnp.array([-0.1, 0.1]))
    np.testing.assert_allclose(h, np.tanh(feedback * h), rtol=0, atol=1e-12)
    np.testing.assert_allclose(h, [0, 0] if feedback < 1 else [-h[1], h[1]], rtol=0, atol=1e-12)
    assert (h[1] > 0.5) == (feedback > 1)
