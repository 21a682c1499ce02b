"""Properties that papers prove for their cells."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import LEM, LMU, AntisymmetricRNN, ClockworkRNN, ExpRNN, LipschitzRNN, UnICORNN, unroll
from rnn_jax.cells.lem import LEMState
from rnn_jax.cells.lmu import LMUParams
from rnn_jax.testing import cells as contract

pytestmark = pytest.mark.extended


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_exponentials_are_rotations_also_far_from_the_origin(scale):
    cell = ExpRNN(2, 5)
    params = cell.init(jax.random.key(0))
    w_h = cell.prepare(params._replace(a=scale * params.a + 1)).w_h
    np.testing.assert_allclose(w_h @ w_h.T, np.eye(5), atol=2e-5)
    np.testing.assert_allclose(np.linalg.det(w_h), 1, atol=2e-5)


def test_the_exponential_of_bfloat16_parameters_is_rounded_once():
    cell = ExpRNN(2, 5)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), cell.init(jax.random.key(0)))
    w_h = cell.prepare(params).w_h
    exact = cell.prepare(jax.tree.map(lambda leaf: leaf.astype(jnp.float32), params)).w_h
    assert w_h.dtype == jnp.bfloat16
    np.testing.assert_array_equal(w_h, exact.astype(jnp.bfloat16))


def test_an_exp_rnn_starts_with_rotations_of_planes():
    w_h = ExpRNN(2, 4).prepare(ExpRNN(2, 4).init(jax.random.key(0))).w_h
    angle = np.arctan2(w_h[0, 1], w_h[0, 0])
    block = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    np.testing.assert_allclose(w_h[:2, :2], block, atol=1e-6)
    np.testing.assert_array_equal(w_h[:2, 2:], 0)


def test_antisymmetric_eigenvalues_have_the_real_part_of_the_diffusion():
    cell = AntisymmetricRNN(2, 5, gamma=0.3, recurrent_std=2.0)
    eigenvalues = np.linalg.eigvals(np.asarray(cell.prepare(cell.init(jax.random.key(0))).w_h))
    np.testing.assert_allclose(eigenvalues.real, -0.3, atol=1e-5)
    assert np.max(np.abs(eigenvalues.imag)) > 0.5


def test_states_of_a_lipschitz_rnn_meet_if_damping_exceeds_the_norm_of_its_weights():
    """Theorem 1 of the paper: |W| below the damping of A makes the state forget its start."""
    cell = LipschitzRNN(2, 4, epsilon=0.05, beta=0.5, gamma=2.0)  # A, W = M - 2 I
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    params = cell.init(jax.random.key(0))._replace(m=jnp.stack([jnp.zeros((4, 4)), 2 * jnp.eye(4) + 1.8 * rotation]))
    a, w = np.split(np.asarray(cell.prepare(params).w_h), 2, axis=1)
    np.testing.assert_allclose(a, -2 * np.eye(4))
    np.testing.assert_allclose(np.linalg.norm(w, 2), 1.8, rtol=1e-5)
    xs = jax.random.normal(jax.random.key(1), (20, 2))
    one, other = (unroll(cell, params, xs, state=s * jnp.ones(4))[1] for s in (-1.0, 2.0))
    assert np.all(np.diff(np.linalg.norm(np.asarray(one - other), axis=1)) < 0)


def test_a_step_of_unicornn_keeps_volumes_and_can_be_undone():
    cell = UnICORNN(2, 3)
    params, state = contract.moved_params(cell), contract.moved_state(cell)
    drive = cell.project(params, contract.inputs(cell))

    def step(pair):
        after = cell.step(params, cell.initial_state(params)._replace(y=pair[0], z=pair[1]), drive)
        return jnp.stack([after.y, after.z])

    pair = jnp.stack([state.y, state.z])
    np.testing.assert_allclose(np.linalg.det(jax.jacobian(step)(pair).reshape(6, 6)), 1, rtol=1e-5)
    y, z = step(pair)
    length = cell.dt * jax.nn.sigmoid(params.c)
    y = y - length * z
    z = z + length * (jnp.tanh(params.w * y + drive) + cell.alpha * y)
    np.testing.assert_allclose(jnp.stack([y, z]), pair, atol=1e-5)


def test_lem_states_stay_within_one():
    cell = LEM(2, 4)
    params = jax.tree.map(lambda leaf: 20 * leaf, cell.init(jax.random.key(0)))
    start = LEMState(y=jnp.full(4, 0.999), z=jnp.full(4, -0.999))
    final, ys = unroll(cell, params, 10 * jax.random.normal(jax.random.key(1), (50, 2)), start)
    assert np.max(np.abs(ys)) <= 1
    assert np.max(np.abs(final.z)) <= 1


def test_the_memory_of_an_lmu_is_the_window_of_its_input():
    """u_{t - delay} is a sum of Legendre polynomials, P_i(2 delay / theta - 1), with the memory as coefficients."""
    cell = LMU(1, 2, order=10, theta=60.0)
    e = jnp.zeros(1 + 2 + 10).at[0].set(1.0)
    params = LMUParams(e, *(jnp.zeros(shape) for shape in ((1, 2), (2, 2), (10, 2))))
    signal = np.sin(2 * np.pi * np.arange(300) / 50)

    def step(state, x):
        state = cell.step(params, state, cell.project(params, x))
        return state, state.m

    _, memories = jax.lax.scan(step, cell.initial_state(params), jnp.asarray(signal[:, None], jnp.float32))
    for delay in (0, 15, 30, 45, 60):
        polynomials = [np.polynomial.legendre.Legendre.basis(i)(2 * delay / 60 - 1) for i in range(10)]
        # An input that is held over a step is half a step old on average.
        at = np.arange(150, 300) - delay + 0.5
        np.testing.assert_allclose(memories[150:] @ np.array(polynomials), np.sin(2 * np.pi * at / 50), atol=0.08)


def test_a_clockwork_module_keeps_its_state_between_its_steps():
    cell = ClockworkRNN(2, 5, periods=(1, 3))
    params = contract.moved_params(cell)
    hs = np.asarray(unroll(cell, params, contract.inputs(cell, 8))[1])
    changed = np.any(np.diff(hs, axis=0) != 0, axis=1)
    assert np.all(changed)
    np.testing.assert_array_equal(np.diff(hs[:, 3:], axis=0)[[0, 1, 3, 4, 6]], 0)
    assert np.all(np.diff(hs[:, 3:], axis=0)[[2, 5]] != 0)


def test_a_clockwork_network_of_few_units_has_the_short_periods():
    cell = ClockworkRNN(2, 2, periods=(1, 2, 4))
    hs = np.asarray(unroll(cell, contract.moved_params(cell), contract.inputs(cell, 5))[1])
    assert np.all(np.diff(hs[:, 0]) != 0)
    np.testing.assert_array_equal(np.diff(hs[:, 1]) != 0, [False, True, False, True])


def test_a_clockwork_module_reads_none_of_a_shorter_period():
    cell = ClockworkRNN(2, 4, periods=(1, 2))
    params = contract.moved_params(cell)
    state = cell.initial_state(params)
    xs = contract.inputs(cell)

    def slow(h):
        return cell.step(params, state._replace(h=h), cell.project(params, xs)).h[2:]

    jacobian = np.asarray(jax.jacobian(slow)(state.h))
    np.testing.assert_array_equal(jacobian[:, :2], 0)
    assert np.all(jacobian[:, 2:] != 0)
