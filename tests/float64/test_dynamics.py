"""Singular values of long products against exact arithmetic; Omega's gradient against finite differences."""

import fractions
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import GRU, Cell, LinearRNN, VanillaRNN, diagnostics


class Product(Cell):
    """s_t = M_t s_{t-1}, with the M_t as inputs."""

    def init(self, key):
        return jnp.zeros(())

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, state, x):
        return jnp.squeeze(jnp.reshape(x, (*x.shape[:-1], 4, 4)) @ state[..., None], -1)


def exact_symmetric_functions(matrices):
    """Returns e_1..e_n of the squared singular values of a product, without rounding.

    e_j = sum of all products of j values: the coefficients of the characteristic polynomial of A^T A, by the method of
    Faddeev and LeVerrier. If the values are far apart, e_j is the product of the j largest, so e_1..e_n determine all.
    """
    a = np.eye(4, dtype=int) * fractions.Fraction(1)
    for m in matrices:
        a = np.vectorize(fractions.Fraction)(m) @ a
    gram, m, coefficients = a.T @ a, np.eye(4, dtype=int) * fractions.Fraction(1), []
    for j in range(1, 5):
        product = gram @ m
        c = -np.trace(product) / j
        m = product + np.eye(4, dtype=int) * c
        coefficients.append((-1) ** j * c)
    return coefficients


def symmetric_functions(logs):
    """Returns e_1..e_n for given ln sigma."""
    e = [fractions.Fraction(1)] + [fractions.Fraction(0)] * 4
    for log in logs:
        square = fractions.Fraction(float(np.exp(log))) ** 2
        for j in range(4, 0, -1):
            e[j] += square * e[j - 1]
    return e[1:]


def factors(kind, steps=30):
    rng = np.random.default_rng(0)
    gaussian = rng.normal(size=(steps + 1, 4, 4))
    if kind == "gaussian":
        return gaussian[1:]
    if kind == "graded":
        q = np.stack([np.linalg.qr(m)[0] for m in gaussian])
        return q[1:] * np.array([1, 0.5, 0.3, 0.1]) @ np.swapaxes(q[:-1], 1, 2)
    if kind == "triangular":
        return np.tril(gaussian[1:]) + np.eye(4)
    return np.broadcast_to(np.eye(4) + np.eye(4, k=1), (steps, 4, 4))  # one Jordan block: powers of k


@pytest.mark.parametrize("kind", ["gaussian", "graded", "triangular", "jordan"])
def test_singular_values_against_exact_arithmetic(kind):
    matrices, lags = factors(kind), [1, 2, 10, 30]
    by_lag = np.asarray(diagnostics.jacobian_singular_values(Product(16, 4), 0.0, matrices.reshape(-1, 16), lags))
    for logs, k in zip(by_lag, lags, strict=True):
        expected = exact_symmetric_functions(matrices[len(matrices) - k :])
        ratios = [float(a / b) for a, b in zip(symmetric_functions(logs), expected, strict=True)]
        np.testing.assert_allclose(ratios, 1, rtol=1e-10)
    if kind == "graded":
        assert by_lag[-1, -1] < np.log(1e-29)
        naive = np.linalg.svd(functools.reduce(lambda a, m: m @ a, matrices), compute_uv=False)
        assert abs(np.log(naive[-1]) - by_lag[-1, -1]) > 10  # a product in float64 loses it


def test_lyapunov_spectrum_of_a_linear_cell_is_its_eigenvalues():
    cell, rng = LinearRNN(2, 4), np.random.default_rng(1)
    params = jax.jit(cell.init)(jax.random.key(0))
    # The matrix is not normal; its eigenvalues are real, so that directions align at a geometric rate.
    basis = rng.normal(size=(4, 4))
    w_h = basis @ np.diag([1.2, -0.9, 0.5, 0.1]) @ np.linalg.inv(basis)
    (name,) = [name for name, leaf in params._asdict().items() if leaf.shape == (4, 4)]
    exponents = diagnostics.lyapunov_spectrum(
        cell, params._replace(**{name: jnp.asarray(w_h)}), rng.normal(size=(200, 3, 2)), 150
    )
    np.testing.assert_allclose(exponents, np.broadcast_to(np.log([1.2, 0.9, 0.5, 0.1]), (3, 4)), rtol=1e-10)


@pytest.mark.extended
@pytest.mark.parametrize(
    "cell", [VanillaRNN(3, 4), pytest.param(GRU(3, 4), marks=pytest.mark.extended)], ids=["rnn", "gru"]
)
def test_omega_and_its_immediate_gradient_match_finite_differences(cell, make_problem):
    _, params, _, xs = make_problem(cell)
    flat, back = jax.flatten_util.ravel_pytree(params)

    def loss(ys):
        return jnp.sum(ys[-1] ** 3)

    jacobians = jax.jit(lambda p: diagnostics.step_jacobians(cell, p, xs))(params)
    g = jax.jit(lambda p: diagnostics.state_gradients(cell, p, xs, loss))(params)
    states = jax.jit(lambda p: _states(cell, p, xs))(params)

    @jax.jit
    def reference(flat):
        """Returns Omega with all states and all dL/ds_t constant, and the Jacobians."""
        p = back(flat)
        step = lambda s, x: cell.step(p, s, cell.project(p, x))  # noqa: E731
        matrices = jax.vmap(jax.vmap(jax.jacfwd(step)))(states, xs)
        ratio = jnp.linalg.norm(jnp.einsum("tbi,tbij->tbj", g, matrices), axis=-1) / jnp.linalg.norm(g, axis=-1)
        return jnp.mean(jnp.sum((ratio - 1) ** 2, axis=0)), matrices

    value, gradient = jax.jit(jax.value_and_grad(lambda p: diagnostics.omega(cell, p, xs, loss)))(params)
    expected, matrices = reference(flat)
    np.testing.assert_allclose(matrices, jacobians, atol=1e-13)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    steps = 1e-5 * np.eye(len(flat))
    differences = [(reference(flat + step)[0] - reference(flat - step)[0]) / 2e-5 for step in steps]
    np.testing.assert_allclose(jax.flatten_util.ravel_pytree(gradient)[0], differences, atol=1e-8)


def _states(cell, params, xs):
    """Returns s_0..s_{T-1}."""
    s, states = cell.initial_state(params, xs.shape[1:-1]), []
    for x in xs:
        states.append(s)
        s = cell.step(params, s, cell.project(params, x))
    return jnp.stack(states)
