"""Jacobian spectra, Lyapunov exponents and horizons against closed forms and known networks."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import LRU, Cell, LinearRNN, SplitCell, VanillaRNN, diagnostics
from rnn_jax.initializers import Normal, Orthogonal, ScaledIdentity
from rnn_jax.models.readout import identity
from tests.known_cells import Product, UserCell, draw, made

pytestmark = pytest.mark.usefixtures("one_thread")


def singular_values(matrices, lags):
    """Returns ln sigma of the products of given Jacobians [T, *batch, n, n]."""
    n = matrices.shape[-1]
    cell = Product(n * n, n)
    xs = jnp.asarray(matrices, jnp.float32).reshape(*matrices.shape[:-2], n * n)
    return np.asarray(diagnostics.jacobian_singular_values(cell, made(cell), xs, lags))


def orthogonal(count, n, seed=0):
    return np.stack([np.linalg.qr(m)[0] for m in np.random.default_rng(seed).normal(size=(count, n, n))])


def test_jacobians_of_a_linear_network_are_its_matrix() -> None:
    cell = VanillaRNN(2, 5, identity, Normal(0.5))
    params = made(cell)
    jacobians = diagnostics.step_jacobians(cell, params, draw(4, 3, 2))
    assert jacobians.shape == (4, 3, 5, 5)
    np.testing.assert_array_equal(jacobians, np.broadcast_to(params.w_h.T, jacobians.shape))


def test_jacobians_are_those_along_the_trajectory() -> None:
    cell = VanillaRNN(2, 5)
    params, xs = made(cell), draw(6, 3, 2)
    h, expected = np.zeros((3, 5)), []
    for x in np.asarray(xs, np.float64):
        h = np.tanh(x @ np.asarray(params.w_i) + h @ np.asarray(params.w_h))
        expected.append((1 - h**2)[..., None] * np.asarray(params.w_h).T)
    np.testing.assert_allclose(diagnostics.step_jacobians(cell, params, xs), np.stack(expected), atol=1e-5)


def test_coordinates_are_real_and_exclude_integers() -> None:
    cell = UserCell(2, 3)
    params, xs = made(cell), draw(4, 2, 2)
    jacobians = np.asarray(diagnostics.step_jacobians(cell, params, xs))
    assert jacobians.shape == (4, 2, 9, 9)
    # z' = (0.6 + 0.3i) z + h in the coordinates (re z, im z, h).
    eye, zero = np.eye(3), np.zeros((3, 3))
    expected = np.block([[0.6 * eye, -0.3 * eye, eye], [0.3 * eye, 0.6 * eye, zero]])
    np.testing.assert_allclose(jacobians[..., :6, :], np.broadcast_to(expected, (4, 2, 6, 9)), atol=1e-6)
    logs = diagnostics.jacobian_singular_values(cell, params, xs, [1, 4])
    assert np.isfinite(logs).all()
    np.testing.assert_allclose(logs[0], np.log(np.linalg.svd(jacobians[-1].astype(float), compute_uv=False)), atol=1e-5)
    assert np.isfinite(diagnostics.lyapunov_spectrum(cell, params, xs, 1)).all()


def test_singular_values_beyond_the_range_of_floats() -> None:
    # J_t = Q_t D Q_{t-1}^T: k steps have D^k, down to e^-460; a product in float32 is exact to e^-16 only.
    q, d = orthogonal(101, 5), np.array([1.0, 0.5, 0.3, 0.1, 0.01])
    matrices = q[1:] * d @ np.swapaxes(q[:-1], 1, 2)
    lags = [100, 1, 7, 0, 30]  # in any order
    np.testing.assert_allclose(singular_values(matrices, lags), np.outer(lags, np.log(d)), rtol=1e-6, atol=3e-4)


def test_singular_values_equal_and_nearly_equal() -> None:
    q = orthogonal(41, 6)
    np.testing.assert_allclose(singular_values(q, [1, 2, 40]), 0, atol=1e-5)
    d = np.array([1.0, 0.9999, 0.999, 0.5, 0.5, 0.4999])
    matrices = q[1:] * d @ np.swapaxes(q[:-1], 1, 2)
    np.testing.assert_allclose(singular_values(matrices, [1, 3, 40]), np.outer([1, 3, 40], np.log(d)), atol=2e-5)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_singular_values_of_random_products(n: int) -> None:
    matrices = np.random.default_rng(n).normal(size=(4, 2, n, n)).astype(np.float32)
    logs = singular_values(matrices, [1, 2, 4])
    assert logs.shape == (3, 2, n)
    for i, k in enumerate([1, 2, 4]):
        product = functools.reduce(lambda a, m: m @ a, matrices[4 - k :].astype(np.float64))
        np.testing.assert_allclose(logs[i], np.log(np.linalg.svd(product, compute_uv=False)), atol=1e-4)


def test_singular_values_of_triangular_products() -> None:
    # The first directions of a single QR sweep are not the leading ones here, so the forward sweep is needed.
    matrices = np.tril(np.random.default_rng(4).normal(size=(30, 5, 5))).astype(np.float32)
    product = functools.reduce(lambda a, m: m @ a, matrices.astype(np.float64))
    expected = np.log(np.linalg.svd(product, compute_uv=False))
    np.testing.assert_allclose(singular_values(matrices, [30])[0], expected, atol=0.01)


def test_zeros_are_exact() -> None:
    # ReLUs that are connected to themselves only: a unit dead at any of the k steps is lost, the others keep norm 1.
    alive = np.ones((5, 6))
    alive[[1, 3, 3], [0, 4, 5]] = 0
    logs = singular_values(np.eye(6) * alive[:, None], [1, 2, 4])
    np.testing.assert_array_equal(logs, np.where(np.arange(6) < [[6], [4], [3]], 0, -np.inf))
    # Dense weights with zero rows, or zero columns, at one of the steps.
    dense = np.random.default_rng(0).normal(size=(5, 6, 6))
    dense[1, 2] = 0
    dense[3, :, [1, 5]] = 0
    assert (np.isneginf(singular_values(dense, [1, 2, 4, 5])).sum(axis=-1) == [0, 2, 2, 2]).all()
    dense[3, :, [1, 5]] = 1
    assert (np.isneginf(singular_values(dense, [1, 3, 4])).sum(axis=-1) == [0, 0, 1]).all()


def test_norm_bound_is_an_upper_bound() -> None:
    cell = VanillaRNN(2, 8, recurrent_init=Normal(0.5))
    params, xs = made(cell), draw(12, 3, 2)
    bound = np.asarray(diagnostics.jacobian_norm_bound(cell, params, xs))
    norm = np.asarray(diagnostics.jacobian_singular_values(cell, params, xs, range(1, 13)))[..., 0]
    assert bound.shape == norm.shape == (12, 3)
    assert (bound >= norm - 1e-5).all()
    np.testing.assert_allclose(bound[0], norm[0], atol=1e-5)
    assert (bound[-1] > norm[-1] + 1).all()


def test_norm_bound_is_tight_for_a_normal_matrix() -> None:
    cell = VanillaRNN(2, 6, identity)
    q, d = orthogonal(1, 6)[0], np.array([0.9, 0.8, -0.7, 0.5, 0.2, -0.1])
    params, xs = made(cell)._replace(w_h=jnp.asarray(q * d @ q.T, jnp.float32)), draw(10, 2, 2)
    bound = diagnostics.jacobian_norm_bound(cell, params, xs)
    norm = diagnostics.jacobian_singular_values(cell, params, xs, range(1, 11))[..., 0]
    np.testing.assert_allclose(bound, norm, atol=1e-5)
    np.testing.assert_allclose(bound[:, 0], np.arange(1, 11) * math.log(0.9), atol=1e-5)


@pytest.mark.parametrize("cell", [LRU(2, 4), LinearRNN(2, 4)], ids=["lru", "linear"])
def test_lyapunov_spectrum_of_a_linear_cell_is_its_eigenvalues(cell: Cell) -> None:
    params, xs = jax.tree.map(lambda p: p + 0.1 * draw(*p.shape), made(cell)), draw(400, 2)
    (block,) = diagnostics.recurrent_blocks(cell, params)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(block.astype(np.float64)))))[::-1]
    np.testing.assert_allclose(diagnostics.lyapunov_spectrum(cell, params, xs, 100), expected, atol=5e-3)


def clipped_relu(x):
    return jnp.minimum(jnp.maximum(x, 0), 6)


class IndRNN(SplitCell):
    """h_t = relu(x_t + u h_{t-1}), Li et al. 2018."""

    def init(self, key):
        return jax.random.uniform(key, (self.hidden_size,), minval=-1.0)

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def recurrent(self, params, state):
        return params * state

    def activate(self, params, state, drive, r):
        return jax.nn.relu(drive + r)


@dataclasses.dataclass(frozen=True)
class StepForm(Cell):
    """The step of a `SplitCell` alone, as a user would write it."""

    cell: Cell

    def init(self, key):
        return self.cell.init(key)

    def initial_state(self, params, batch_shape=()):
        return self.cell.initial_state(params, batch_shape)

    def step(self, params, state, x):
        return self.cell.step(params, state, self.cell.project(params, x))


@pytest.mark.parametrize(
    "cell",
    [VanillaRNN(4, 4, jax.nn.relu), VanillaRNN(4, 4, clipped_relu), VanillaRNN(4, 4), IndRNN(4, 4)],
    ids=["relu", "maximum", "tanh", "IndRNN"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_at_rest_a_step_has_the_recurrent_matrix_of_its_split_form(cell: Cell, seed: int) -> None:
    """A ReLU without inputs and bias is at its kink: with the slope 0 its radius would be 0."""
    params, form = made(cell, seed), StepForm(4, 4, cell)
    np.testing.assert_allclose(
        diagnostics.recurrent_blocks(form, params), diagnostics.recurrent_blocks(cell, params), rtol=1e-6, atol=1e-7
    )
    if not isinstance(cell, IndRNN):
        assert diagnostics.spectral_radius(form, params) == pytest.approx(1, rel=1e-5)
    shares = [diagnostics.linearised_reach(each, params, 5) for each in (cell, form)]
    np.testing.assert_allclose(shares[1], shares[0], rtol=1e-6)


def test_at_rest_a_relu_network_has_lyapunov_exponents_from_a_random_state() -> None:
    cell = VanillaRNN(4, 4, jax.nn.relu, ScaledIdentity(0.9))
    form, xs, state = StepForm(4, 4, cell), jnp.zeros((20, 1, 4)), jnp.full((1, 4), 1e-3)
    for each in (cell, form):
        exponents = diagnostics.lyapunov_spectrum(each, made(cell), xs, 0, state)
        np.testing.assert_allclose(exponents, math.log(0.9), rtol=1e-5)


def test_lyapunov_warmup_steps_are_not_averaged() -> None:
    # After the first steps the Jacobian is 1/2, and only these later steps may be averaged.
    cell = Product(4, 2)
    xs = jnp.concatenate([jnp.full((3, 1), 8.0), jnp.full((50, 1), 0.5)]) * jnp.eye(2).reshape(1, 4)
    np.testing.assert_allclose(diagnostics.lyapunov_spectrum(cell, made(cell), xs, 3), [-math.log(2)] * 2, rtol=1e-6)
    assert (diagnostics.lyapunov_spectrum(cell, made(cell), xs, 2) > -math.log(2) + 0.05).all()


def test_lyapunov_spectrum_of_dead_units() -> None:
    cell = VanillaRNN(2, 6, jax.nn.relu, Orthogonal(0.3), Normal(0.0))
    params = made(cell)._replace(b=jnp.asarray([-5.0, 5, 5, 5, -5, 5]))
    exponents = diagnostics.lyapunov_spectrum(cell, params, draw(30, 2), 5)
    np.testing.assert_array_equal(np.isfinite(exponents), [True] * 4 + [False] * 2)
    assert exponents[0] < math.log(0.3) + 1e-5


@pytest.mark.extended
def test_chaos_starts_near_gain_one() -> None:
    # Sompolinsky, Crisanti & Sommers 1988: the autonomous network h = tanh(W h), W ~ N(0, g^2 / N).
    cell, n = VanillaRNN(1, 200), 200
    params, w = made(cell), draw(n, n, seed=1) / math.sqrt(n)
    xs, state = jnp.zeros((200, 1)), draw(n, seed=2)
    largest = [
        float(diagnostics.lyapunov_spectrum(cell, params._replace(w_h=g * w), xs, 100, state)[0])
        for g in (0.8, 0.9, 1.5, 2.0)
    ]
    assert largest[0] < largest[1] < -0.02
    assert 0.02 < largest[2] < largest[3] < 0.3
    # Zero is a fixed point, and an unstable one.
    assert diagnostics.lyapunov_spectrum(cell, params._replace(w_h=1.5 * w), xs, 100, jnp.zeros(n))[0] > 0.3


@pytest.mark.parametrize(
    ("norms", "horizon"),
    [
        ([1, 0.5, 0.1, 0.011, 0.009, 0.001], 3),
        ([1, 0.5, 0.001, 0.5, 0.5], 1),  # the first crossing counts
        ([1, 1, 1], 2),
        ([0, 0, 2, 1, 0.001], 3),  # a component not read at the last step
        ([0, 0, 0], 0),
        ([1, 0.5, math.nan, math.nan], 1),
        ([1, math.inf, 0], 1),
        ([math.nan, 1, 1], math.nan),
        ([math.inf, 1, 1], math.nan),
    ],
)
def test_effective_horizon(norms: list[float], horizon: float) -> None:
    np.testing.assert_array_equal(diagnostics.effective_horizon(norms), horizon)
    stacked = np.stack([[norms, np.ones(len(norms))]] * 3).astype(np.float32)
    np.testing.assert_array_equal(diagnostics.effective_horizon(stacked), [[horizon, len(norms) - 1]] * 3)


def test_effective_horizon_of_a_geometric_decay() -> None:
    norms = 0.9 ** np.arange(200)
    for share in (0.5, 0.01, 1e-6):
        assert diagnostics.effective_horizon(norms, share) == math.floor(math.log(share) / math.log(0.9))


CELL = VanillaRNN(2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p, xs: diagnostics.jacobian_singular_values(CELL, p, xs, [1, 9]), ValueError, "0 to T = 5, got 9"),
        (lambda p, xs: diagnostics.jacobian_singular_values(CELL, p, xs, [-1]), ValueError, "0 to T = 5, got -1"),
        (lambda p, xs: diagnostics.jacobian_singular_values(CELL, p, xs, [0.5]), TypeError, "lags must be a sequence"),
        (lambda p, xs: diagnostics.jacobian_singular_values(CELL, p, xs, 3), TypeError, "lags must be a sequence"),
        (lambda p, xs: diagnostics.lyapunov_spectrum(CELL, p, xs, 5), ValueError, "less than the T = 5 steps"),
        (lambda p, xs: diagnostics.lyapunov_spectrum(CELL, p, xs, -1), ValueError, "warmup must be an integer"),
        (lambda p, xs: diagnostics.lyapunov_spectrum(CELL, p, xs, 1, jnp.ones(4)), ValueError, "state"),
        (lambda p, xs: diagnostics.step_jacobians(CELL, p, xs[..., :1]), ValueError, r"got shape \(5, 2, 1\)"),
        (lambda p, xs: diagnostics.jacobian_norm_bound(CELL, p, xs.astype(int)), TypeError, "floating point"),
        (lambda p, xs: diagnostics.saturation(CELL, p, xs[:0]), ValueError, "at least one step"),
        (lambda p, xs: diagnostics.effective_horizon([]), ValueError, "norms must be"),
        (lambda p, xs: diagnostics.effective_horizon([1.0], 1.5), ValueError, "threshold"),
        (lambda p, xs: diagnostics.effective_horizon([1.0], 0), ValueError, "threshold"),
    ],
)
def test_bad_input_is_refused(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call(made(CELL), draw(5, 2, 2))
