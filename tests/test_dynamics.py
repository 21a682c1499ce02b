"""Jacobian spectra, Lyapunov exponents, saturation, horizons and Omega, against closed forms and known networks."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import threadpoolctl

from rnn_jax import GRU, LRU, LSTM, Cell, LayerNormLSTM, LinearRNN, PeepholeLSTM, VanillaRNN, diagnostics
from rnn_jax.initializers import Normal, Orthogonal, ScaledIdentity
from rnn_jax.models.readout import identity


@pytest.fixture(autouse=True, scope="module")
def quick_programs():
    # OpenBLAS's threads wait for one another by spinning: on cores shared with other tests, a hundred times as long.
    with threadpoolctl.threadpool_limits(1):
        # Programs run once: optimizing them takes longer than running them.
        jax.config.update("jax_disable_most_optimizations", True)
        yield
        jax.config.update("jax_disable_most_optimizations", False)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def made(cell, seed=0):
    return cell.init(jax.random.key(seed))


class Product(Cell):
    """s_t = M_t s_{t-1}, the M_t its inputs: any Jacobians that one likes."""

    def init(self, key):
        return jnp.zeros(())

    def initial_state(self, params, batch_shape=()):
        return jnp.zeros((*batch_shape, self.hidden_size))

    def step(self, params, state, x):
        m = jnp.reshape(x, (*x.shape[:-1], self.hidden_size, self.hidden_size))
        return jnp.squeeze(m @ state[..., None], -1)


class Mixed(NamedTuple):
    z: jax.Array
    steps: jax.Array
    h: jax.Array


class OwnCell(Cell):
    """A user's cell: a complex component, one of integers, one real."""

    def init(self, key):
        return {"w": jax.random.normal(key, (self.input_size, self.hidden_size)) / 2, "decay": jnp.asarray(0.3)}

    def initial_state(self, params, batch_shape=()):
        shape = (*batch_shape, self.hidden_size)
        return Mixed(jnp.zeros(shape, jnp.complex64), jnp.zeros(batch_shape, jnp.int32), jnp.ones(shape))

    def step(self, params, state, x):
        z = (0.6 + 0.3j) * state.z + state.h
        h = jnp.tanh(x @ params["w"] + 0.5 * state.h) * jax.nn.sigmoid(params["decay"]) + 0.1 * state.z.real
        return Mixed(z, state.steps + 1, h)

    def output(self, params, state, x):
        return state.h


def singular_values(matrices, lags):
    """Of Jacobians [T, *batch, n, n] given one by one."""
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
    h, wanted = np.zeros((3, 5)), []
    for x in np.asarray(xs, np.float64):
        h = np.tanh(x @ np.asarray(params.w_i) + h @ np.asarray(params.w_h))
        wanted.append((1 - h**2)[..., None] * np.asarray(params.w_h).T)
    np.testing.assert_allclose(diagnostics.step_jacobians(cell, params, xs), np.stack(wanted), atol=1e-5)


def test_coordinates_are_real_and_leave_integers_out() -> None:
    cell = OwnCell(2, 3)
    params, xs = made(cell), draw(4, 2, 2)
    jacobians = np.asarray(diagnostics.step_jacobians(cell, params, xs))
    assert jacobians.shape == (4, 2, 9, 9)
    # z' = (0.6 + 0.3i) z + h in the coordinates (re z, im z, h).
    eye, zero = np.eye(3), np.zeros((3, 3))
    wanted = np.block([[0.6 * eye, -0.3 * eye, eye], [0.3 * eye, 0.6 * eye, zero]])
    np.testing.assert_allclose(jacobians[..., :6, :], np.broadcast_to(wanted, (4, 2, 6, 9)), atol=1e-6)
    found = diagnostics.jacobian_singular_values(cell, params, xs, [1, 4])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(
        found[0], np.log(np.linalg.svd(jacobians[-1].astype(float), compute_uv=False)), atol=1e-5
    )
    assert np.isfinite(diagnostics.lyapunov_spectrum(cell, params, xs, 1)).all()


def test_singular_values_beyond_all_floats() -> None:
    # J_t = Q_t D Q_{t-1}^T: of k steps, D^k, down to e^-460; a product in float32 ends at e^-16.
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
    found = singular_values(matrices, [1, 2, 4])
    assert found.shape == (3, 2, n)
    for i, k in enumerate([1, 2, 4]):
        product = functools.reduce(lambda a, m: m @ a, matrices[4 - k :].astype(np.float64))
        np.testing.assert_allclose(found[i], np.log(np.linalg.svd(product, compute_uv=False)), atol=1e-4)


def test_singular_values_of_triangular_products() -> None:
    # The first directions that QR finds are not the leading ones here: what the sweep forward is for.
    matrices = np.tril(np.random.default_rng(4).normal(size=(30, 5, 5))).astype(np.float32)
    product = functools.reduce(lambda a, m: m @ a, matrices.astype(np.float64))
    wanted = np.log(np.linalg.svd(product, compute_uv=False))
    np.testing.assert_allclose(singular_values(matrices, [30])[0], wanted, atol=0.01)


def test_zeros_are_exact() -> None:
    # ReLUs with all weights on themselves: what is dead at any step of the k is lost, and the others are kept whole.
    alive = np.ones((5, 6))
    alive[[1, 3, 3], [0, 4, 5]] = 0
    found = singular_values(np.eye(6) * alive[:, None], [1, 2, 4])
    np.testing.assert_array_equal(found, np.where(np.arange(6) < [[6], [4], [3]], 0, -np.inf))
    # Among other weights too: rows that are zero, columns that are, in one of the steps.
    dense = np.random.default_rng(0).normal(size=(5, 6, 6))
    dense[1, 2] = 0
    dense[3, :, [1, 5]] = 0
    assert (np.isneginf(singular_values(dense, [1, 2, 4, 5])).sum(axis=-1) == [0, 2, 2, 2]).all()
    dense[3, :, [1, 5]] = 1
    assert (np.isneginf(singular_values(dense, [1, 3, 4])).sum(axis=-1) == [0, 0, 1]).all()


def test_norm_bound_is_one() -> None:
    cell = VanillaRNN(2, 8, recurrent_init=Normal(0.5))
    params, xs = made(cell), draw(12, 3, 2)
    bound = np.asarray(diagnostics.jacobian_norm_bound(cell, params, xs))
    norm = np.asarray(diagnostics.jacobian_singular_values(cell, params, xs, range(1, 13)))[..., 0]
    assert bound.shape == norm.shape == (12, 3)
    assert (bound >= norm - 1e-5).all()
    np.testing.assert_allclose(bound[0], norm[0], atol=1e-5)
    assert (bound[-1] > norm[-1] + 1).all()


def test_norm_bound_is_reached_by_a_normal_matrix() -> None:
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
    wanted = np.sort(np.log(np.abs(np.linalg.eigvals(block.astype(np.float64)))))[::-1]
    np.testing.assert_allclose(diagnostics.lyapunov_spectrum(cell, params, xs, 100), wanted, atol=5e-3)


def test_lyapunov_warmup_aligns() -> None:
    # One step takes the state to where the Jacobian is 1/2, and after that nothing counts but the 1/2.
    cell = Product(4, 2)
    xs = jnp.concatenate([jnp.full((3, 1), 8.0), jnp.full((50, 1), 0.5)]) * jnp.eye(2).reshape(1, 4)
    np.testing.assert_allclose(diagnostics.lyapunov_spectrum(cell, made(cell), xs, 3), [-math.log(2)] * 2, rtol=1e-6)
    assert (diagnostics.lyapunov_spectrum(cell, made(cell), xs, 2) > -math.log(2) + 0.05).all()


def test_lyapunov_spectrum_of_dead_units() -> None:
    cell = VanillaRNN(2, 6, jax.nn.relu, Orthogonal(0.3), Normal(0.0))
    params = made(cell)._replace(b=jnp.asarray([-5.0, 5, 5, 5, -5, 5]))
    found = diagnostics.lyapunov_spectrum(cell, params, draw(30, 2), 5)
    np.testing.assert_array_equal(np.isfinite(found), [True] * 4 + [False] * 2)
    assert found[0] < math.log(0.3) + 1e-5


def test_chaos_sets_in_near_gain_one() -> None:
    # Sompolinsky, Crisanti & Sommers 1988: h = tanh(W h), W ~ N(0, g^2 / N), left to itself.
    cell, n = VanillaRNN(1, 200), 200
    params, w = made(cell), draw(n, n, seed=1) / math.sqrt(n)
    xs, state = jnp.zeros((200, 1)), draw(n, seed=2)
    largest = [
        float(diagnostics.lyapunov_spectrum(cell, params._replace(w_h=g * w), xs, 100, state)[0])
        for g in (0.8, 0.9, 1.5, 2.0)
    ]
    assert largest[0] < largest[1] < -0.02
    assert 0.02 < largest[2] < largest[3] < 0.3
    # From zero nothing ever moves, and the origin repels.
    assert diagnostics.lyapunov_spectrum(cell, params._replace(w_h=1.5 * w), xs, 100, jnp.zeros(n))[0] > 0.3


GATES = ["logistic", "logistic 2", "tanh", "logistic 3", "tanh 2"]


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (VanillaRNN(2, 4), ["tanh"]),
        (VanillaRNN(2, 4, jax.nn.relu), ["max"]),
        (LSTM(2, 4), GATES),
        (LayerNormLSTM(2, 4), GATES),
        (PeepholeLSTM(2, 4), GATES),
        (GRU(2, 4), ["logistic", "logistic 2", "tanh"]),
        (OwnCell(2, 4), ["tanh"]),  # its logistic is of a parameter
        (VanillaRNN(2, 4, jax.nn.softplus), []),
        (VanillaRNN(2, 4, jax.checkpoint(jnp.tanh)), ["tanh"]),
    ],
    ids=lambda of: getattr(of, "__class__", type(of)).__name__ if isinstance(of, Cell) else None,
)
def test_saturation_finds_every_nonlinearity(cell: Cell, names: list[str]) -> None:
    found = diagnostics.saturation(cell, made(cell), 3 * draw(5, 3, 2))
    assert list(found) == names
    assert all(0 <= share <= 1 for shares in found.values() for share in shares)


def test_saturation_counts_tanh() -> None:
    cell = VanillaRNN(2, 5)
    params, xs = made(cell)._replace(b=jnp.asarray([0.0, 9, -9, 2, 0])), 2 * draw(20, 3, 2)
    params = params._replace(w_h=0 * params.w_h)
    h = np.tanh(np.asarray(xs) @ np.asarray(params.w_i) + np.asarray(params.b)[None, None])
    found = diagnostics.saturation(cell, params, xs)["tanh"]
    low, high = h <= -0.95, h >= 0.95
    assert 0 < low.mean() < high.mean() < 1
    np.testing.assert_allclose([found.low, found.high], [low.mean(), high.mean()], rtol=1e-5)
    np.testing.assert_allclose(found.dead, 2 / 5)
    # A unit must stay on one side in every sequence and at every step; not one here, another there.
    flipping = jnp.asarray([[50.0, 0], [-50, 0]])[None]  # [T, B, D]
    sides = params._replace(w_i=jnp.ones((2, 5)), b=jnp.zeros(5))
    for xs in (flipping, jnp.swapaxes(flipping, 0, 1)):
        assert diagnostics.saturation(cell, sides, xs)["tanh"] == (0.5, 0.5, 0)


def test_saturation_counts_gates() -> None:
    cell = LSTM(2, 4)
    shut = made(cell)._replace(b=jnp.repeat(jnp.asarray([-20.0, 20, 0, 0]), 4))  # the input gate; the forget gate open
    found = diagnostics.saturation(cell, shut, draw(10, 3, 2))
    assert found["logistic"] == (0, 1, 1)
    assert found["logistic 2"] == (1, 0, 1)
    assert found["logistic 3"] == (0, 0, 0)


@pytest.mark.parametrize(
    "relu",
    [
        jax.nn.relu,
        functools.partial(jnp.maximum, 0.0),
        lambda x: jnp.maximum(x, jnp.zeros_like(x)),
        lambda x: jnp.clip(x, 0),
    ],
    ids=["relu", "maximum", "zeros", "clip"],
)
def test_saturation_counts_dead_relus(relu) -> None:
    cell = VanillaRNN(2, 4, relu, ScaledIdentity(0.0))
    params, xs = made(cell)._replace(b=jnp.asarray([-9.0, 0, 9, 0])), draw(30, 3, 2)
    zeros = np.asarray(xs) @ np.asarray(params.w_i) + np.asarray(params.b) <= 0
    found = diagnostics.saturation(cell, params, xs)["max"]
    np.testing.assert_allclose(found.low, zeros.mean(), rtol=1e-5)
    assert (found.high, found.dead) == (0, 0.25)


def test_saturation_is_of_sequences_with_any_batch() -> None:
    cell = GRU(2, 4)
    params, xs = made(cell), 5 * draw(6, 2, 3, 2)
    wanted = diagnostics.saturation(cell, params, xs.reshape(6, 6, 2))
    assert diagnostics.saturation(cell, params, xs) == wanted
    assert diagnostics.saturation(cell, params, xs[:, 0, 0])["tanh"].low.shape == ()


@pytest.mark.parametrize(
    ("norms", "horizon"),
    [
        ([1, 0.5, 0.1, 0.011, 0.009, 0.001], 3),
        ([1, 0.5, 0.001, 0.5, 0.5], 1),  # the first fall counts
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


def last(ys):
    return jnp.sum(ys[-1] ** 2)


def omega_of(cell, params, xs, loss):
    """Omega and its gradient."""
    return jax.jit(jax.value_and_grad(lambda p: diagnostics.omega(cell, p, xs, loss)))(params)


def per_step(cell, params, xs):
    """The mean ratio of the gradient's norm from one step to the one before, over all steps."""
    gradients = jax.jit(lambda p: diagnostics.state_gradients(cell, p, xs, last))(params)
    norms = diagnostics.gradient_norms(gradients)["together"]
    return float(jnp.exp(jnp.mean(jnp.log(norms[0] / norms[-1])) / (len(xs) - 1)))


def test_omega_is_zero_where_the_norm_is_kept() -> None:
    cell = VanillaRNN(2, 6, identity, Orthogonal())
    value, gradient = omega_of(cell, made(cell), draw(9, 3, 2), last)
    assert value < 1e-10
    assert all(np.abs(leaf).max() < 1e-4 for leaf in jax.tree.leaves(gradient))


def test_omega_of_a_scaled_rotation_counts_the_steps_that_matter() -> None:
    cell = VanillaRNN(2, 6, identity, Orthogonal(0.7))
    params, xs = made(cell), draw(9, 3, 2)
    np.testing.assert_allclose(omega_of(cell, params, xs, last)[0], 9 * 0.3**2, rtol=1e-4)
    # Nothing is read after step 5; and of the second sequence nothing after step 2.
    steps = jnp.asarray([[5, 2, 5]])
    reads = (jnp.arange(1, 10)[:, None] == steps).astype(jnp.float32)[..., None]
    found, _ = omega_of(cell, params, xs, lambda ys: jnp.sum(reads * ys**2))
    np.testing.assert_allclose(found, (5 + 2 + 5) / 3 * 0.3**2, rtol=1e-4)
    # Any scale of the loss will do; what underflows counts nothing.
    tiny, _ = omega_of(cell, params, xs, lambda ys: 1e-30 * last(ys))
    np.testing.assert_allclose(tiny, 9 * 0.3**2, rtol=1e-4)
    quick = params._replace(w_h=1e-6 * params.w_h)
    assert 3.9 < omega_of(cell, quick, xs, lambda ys: 1e-15 * jnp.sum(ys[-1]))[0] < 5


@pytest.mark.parametrize("loss", [last, lambda ys: 0.0 * last(ys)], ids=["read", "unread"])
def test_omega_is_never_nan(loss) -> None:
    cell = VanillaRNN(2, 4, jax.nn.relu, ScaledIdentity(), Normal(0.1))
    for b in (0.5, -9.0):
        params = made(cell)._replace(b=jnp.full(4, b))
        value, gradient = omega_of(cell, params, draw(9, 3, 2), loss)
        assert np.isfinite(value)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))

    # Every unit dies at step 4 alone: it hands nothing back, and is the one that does not.
    class Died(Product):
        def output(self, params, state, x):
            return state + jnp.sum(params)

    cell = Died(4, 2)
    xs = jnp.where(jnp.arange(6)[:, None] == 3, 0, jnp.eye(2).reshape(1, 4))
    value, gradient = omega_of(cell, made(cell), xs, lambda ys: jnp.sum(ys[-1]))
    assert (value, gradient) == (1, 0)


def test_descending_omega_makes_a_vanishing_gradient_last() -> None:
    cell = VanillaRNN(2, 12, recurrent_init=Orthogonal(0.6))
    params, xs = made(cell), draw(12, 4, 2)
    before = per_step(cell, params, xs)

    @jax.jit
    def descend(params):
        def move(params, _):
            value, gradient = jax.value_and_grad(lambda p: diagnostics.omega(cell, p, xs, last))(params)
            return jax.tree.map(lambda p, g: p - 0.04 * g, params, gradient), value

        return jax.lax.scan(move, params, length=100)

    params, values = descend(params)
    assert before < 0.5
    assert abs(per_step(cell, params, xs) - 1) < 0.1
    assert values[-1] < values[0] / 10


def test_omega_of_any_cell() -> None:
    for cell in (LSTM(2, 3), OwnCell(2, 3)):
        params = made(cell)
        _, gradient = omega_of(cell, params, draw(4, 3, 2), last)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
        assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient))


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
