"""Gradients against finite differences; lag gradients against their definition and their closed forms."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import test_util

from rnn_jax import GRU, LSTM, GRUResetBefore, Hoisted, Scan, VanillaRNN, diagnostics, unroll
from rnn_jax.trees import floats, refill


@pytest.mark.parametrize(
    ("order", "mode", "engine"),
    [
        pytest.param(1, "fwd", Scan(), id="forward"),
        pytest.param(1, "rev", Hoisted(), id="first"),
        pytest.param(2, "rev", Hoisted(), id="second", marks=pytest.mark.slow),
    ],
)
def test_unroll_against_finite_differences(problem, weigh, order, mode, engine):
    cell, params, state, xs = problem

    @jax.jit
    def run(params, leaves, xs):
        return weigh(unroll(cell, params, xs[:3], refill(state, leaves), engine=engine))

    # At a random point so short a step does not cross a kink of ReLU.
    test_util.check_grads(run, (params, floats(state), xs), order=order, modes=(mode,), eps=1e-6, atol=1e-7, rtol=1e-7)


@pytest.mark.extended
def test_state_gradient_is_that_of_a_restart(common_problem, weigh):
    cell, params, state, xs = common_problem
    xs = xs[:4]
    gradients = jax.jit(lambda params, xs: diagnostics.state_gradients(cell, params, xs, weigh))(params, xs)
    for t in range(len(xs)):

        @jax.jit
        def restarted(params, xs, t=t):
            at_t, head = unroll(cell, params, xs[: t + 1])

            def loss(leaves):
                state = refill(at_t, leaves)
                y = cell.output(params, state, xs[t])
                _, tail = unroll(cell, params, xs[t + 1 :], state)
                parts = (jax.tree.map(lambda y: y[:t], head), jax.tree.map(lambda y: y[None], y), tail)
                return weigh(jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts))

            return jax.grad(loss)(floats(at_t))

        for got, leaf in zip(floats(gradients, state), restarted(params, xs), strict=True):
            np.testing.assert_allclose(got[t], leaf, rtol=0, atol=1e-12)


def identity(x):
    return x


def lag_norms_of_linear_rnn(w_h, make_problem):
    """Norms [T, B] by lag of the gradient of sum_b g_b · h_{T,b}, and the cotangents g [B, H]."""
    cell, params, _, xs = make_problem(VanillaRNN(3, 4, identity))
    g = jnp.asarray(np.random.default_rng(3).normal(size=(xs.shape[1], 4)))

    @jax.jit
    def lag_norms(params, xs):
        gradients = diagnostics.state_gradients(cell, params, xs, lambda ys: jnp.sum(g * ys[-1]))
        return diagnostics.gradient_norms(gradients)

    norms = lag_norms(params._replace(w_h=w_h), xs)
    np.testing.assert_array_equal(norms["h"], norms["total"])
    return np.asarray(norms["h"])[::-1], np.asarray(g)


def test_lag_norms_of_a_linear_rnn_are_powers_of_its_matrix(make_problem):
    w_h = np.random.default_rng(4).normal(size=(4, 4)) / 2
    norms, g = lag_norms_of_linear_rnn(jnp.asarray(w_h), make_problem)
    expected = [np.linalg.norm(g @ np.linalg.matrix_power(w_h.T, k), axis=-1) for k in range(len(norms))]
    np.testing.assert_allclose(norms, expected, rtol=1e-12)


@pytest.mark.parametrize("gain", [0.8, 1.25])
def test_decay_of_a_scaled_orthogonal_matrix_is_its_gain(gain, make_problem):
    orthogonal, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))
    norms, _ = lag_norms_of_linear_rnn(jnp.asarray(gain * orthogonal), make_problem)
    for own in norms.T:
        expected = (math.log(gain), -math.log(2) / math.log(gain), gain ** (len(own) - 1))
        np.testing.assert_allclose(diagnostics.fit_decay(own), expected, rtol=1e-12)


@pytest.mark.extended
def test_lstm_norms_by_component(make_problem, weigh):
    cell, params, _, xs = make_problem(LSTM(3, 4))
    gradients = diagnostics.state_gradients(cell, params, xs, lambda ys: weigh(ys[-1]))
    norms = diagnostics.gradient_norms(gradients)
    assert set(norms) == {"h", "c", "total"}
    for name in ("h", "c"):
        np.testing.assert_allclose(norms[name], np.linalg.norm(getattr(gradients, name), axis=-1), rtol=1e-12)
    np.testing.assert_allclose(norms["total"] ** 2, norms["h"] ** 2 + norms["c"] ** 2, rtol=1e-12)
    # Only h of the last step is read; it reads c of the step before.
    assert np.all(norms["c"][-1] == 0)
    assert np.all(norms["c"][:-1] > 0)


def radius(matrix):
    return np.max(np.abs(np.linalg.eigvals(matrix)))


@pytest.mark.parametrize(("cell", "gates"), [(VanillaRNN(3, 4), 1), (LSTM(3, 4), 4), (GRU(3, 4), 3)])
def test_spectral_radius_is_the_largest_of_the_gates(cell, gates, make_problem):
    params = make_problem(cell).params
    per_gate = np.split(np.asarray(params.w_h), gates, axis=1)
    blocks = diagnostics.recurrent_blocks(cell, params)
    for gate, block in zip(per_gate, blocks, strict=False):  # an LSTM's c adds blocks of zeros
        np.testing.assert_allclose(block, gate, rtol=1e-12)
    assert not np.any(blocks[gates:])
    np.testing.assert_allclose(diagnostics.spectral_radius(cell, params), max(map(radius, per_gate)), rtol=1e-12)


def test_spectral_radius_without_a_single_product_is_that_of_the_jacobian(make_problem):
    cell = GRUResetBefore(3, 4)
    params = make_problem(cell).params
    _, w_z, w_n = np.split(np.asarray(params.w_h), 3, axis=1)
    b_r, b_z, b_n = np.split(np.asarray(params.b), 3)
    r, z = 1 / (1 + np.exp(-b_r)), 1 / (1 + np.exp(-b_z))
    n = np.tanh(b_n)
    # At h = 0 and x = 0, by hand: h' = z h + (1 - z) n, entry [i, j] is the derivative of h'_j by h_i. The reset gate's
    # own derivative is multiplied by h = 0.
    jacobian = np.diag(z) - w_z * (z * (1 - z) * n) + r[:, None] * w_n * ((1 - z) * (1 - n**2))
    np.testing.assert_allclose(diagnostics.recurrent_blocks(cell, params)[0], jacobian, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(diagnostics.spectral_radius(cell, params), radius(jacobian), rtol=1e-12)
