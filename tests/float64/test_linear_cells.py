"""Cells that are linear in their state: against closed forms, and over long sequences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import (
    GLA,
    LRU,
    MLSTM,
    RGLRU,
    S5,
    S6,
    Associative,
    DeltaNet,
    GatedDeltaNet,
    LinearRNN,
    MinGRU,
    MinLSTM,
    Scan,
    unroll,
)
from rnn_jax.cells.delta_net import Replace
from rnn_jax.cells.s5 import hippo_n

D, H, B = 3, 4, 2
OTHERS = [S5(D, H), RGLRU(D, H), S6(D, H, state_size=3), GLA(D, H), MLSTM(D, H), DeltaNet(D, H), GatedDeltaNet(D, H)]
STEPS = 40


def softplus(a):
    return np.logaddexp(0, a)


def log_g(a):
    return np.where(a >= 0, np.log(np.maximum(a, 0) + 0.5), -softplus(-a))


def in_log_space(log_coefficients, log_values):
    """Feng et al. 2024, algorithm "parallel scan (log space)", after Heinsen 2023 (arXiv:2311.06281).

    log h_t = a*_t + logcumsumexp(log values - a*)_t, with a* the running sum of the log coefficients.
    """
    a_star = np.concatenate([np.zeros((1, *log_coefficients.shape[1:])), np.cumsum(log_coefficients, axis=0)])
    return np.exp(a_star + np.logaddexp.accumulate(log_values - a_star, axis=0))[1:]


def log_space_min_gru(params, xs, h_0):
    k, candidate = np.split(xs @ params.w_i + params.b, 2, axis=-1)
    return in_log_space(-softplus(k), np.concatenate([np.log(h_0)[None], -softplus(-k) + log_g(candidate)]))


def log_space_min_lstm(params, xs, h_0):
    f, i, candidate = np.split(xs @ params.w_i + params.b, 3, axis=-1)
    difference = softplus(-f) - softplus(-i)
    log_f, log_i = -softplus(difference), -softplus(-difference)
    return in_log_space(log_f, np.concatenate([np.log(h_0)[None], log_i + log_g(candidate)]))


@pytest.mark.parametrize("engine", [Scan(), Associative()], ids=str)
@pytest.mark.parametrize(
    ("cell", "oracle"), [(MinGRU(D, H), log_space_min_gru), (MinLSTM(D, H), log_space_min_lstm)], ids=["gru", "lstm"]
)
def test_the_papers_parallel_form_in_log_space(cell, oracle, engine, make_problem):
    params = jax.tree.map(np.asarray, make_problem(cell).params)
    rng = np.random.default_rng(0)
    xs, h_0 = rng.normal(size=(STEPS, B, D)), rng.uniform(0.1, 2, (B, H))
    _, hs = jax.jit(lambda xs, h: unroll(cell, params, xs, h, engine=engine))(xs, h_0)
    np.testing.assert_allclose(hs, oracle(params, xs, h_0), rtol=1e-11)
    assert np.all(np.asarray(hs) > 0)


def weighted(cell, engine, params, xs, state):
    final, ys = unroll(cell, params, xs, state, engine=engine)
    weights = jnp.sin(jnp.arange(ys.size, dtype=float)).reshape(ys.shape)
    return jnp.sum(weights * ys) + sum(jnp.sum(jnp.abs(leaf) ** 2) for leaf in jax.tree.leaves(final)), ys


@pytest.mark.extended
@pytest.mark.parametrize(
    "cell", [MinGRU(D, H), MinLSTM(D, H), LRU(D, H), LinearRNN(D, H), S5(D, H), RGLRU(D, H)], ids=repr
)
def test_ten_thousand_steps_equal_those_of_the_loop(cell):
    """No product of coefficients overflows, and none is divided by: values and gradients are the loop's."""
    params = cell.init(jax.random.key(0))
    rng = np.random.default_rng(1)
    xs = rng.normal(size=(10_000, B, D))
    state = jax.tree.map(lambda leaf: leaf + rng.normal(size=leaf.shape), cell.initial_state(params, (B,)))

    def run(engine):
        gradient = jax.grad(lambda *a: weighted(cell, engine, *a), argnums=(0, 1, 2), has_aux=True)
        return jax.jit(gradient)(params, xs, state)

    for got, expected in zip(jax.tree.leaves(run(Associative())), jax.tree.leaves(run(Scan())), strict=True):
        assert np.all(np.isfinite(expected))
        # An orthogonal matrix and an eigenvalue of modulus 0.999 accumulate rounding over all steps.
        np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10 * np.max(np.abs(expected)))


def counting_min_gru():
    """z_t is the bit, and the candidate g(1/2) = 1: h_t = (1 - 2 x_t) h_{t-1} + x_t."""
    cell = MinGRU(1, 1, negative_eigenvalues=True)
    params = cell.init(jax.random.key(0))
    return cell, params._replace(w_i=jnp.array([[80.0, 0.0]]), b=jnp.array([-40.0, 0.5]))


def counting_rg_lru():
    """At a one a_t = 0, and the input gate is open; at a zero a_t = 1, and it is closed."""
    cell = RGLRU(1, 1, negative_eigenvalues=True)
    params = cell.init(jax.random.key(0))
    return cell, params._replace(
        w_i=jnp.array([[0.0, 80.0, 80.0]]), b=jnp.array([1.0, -40.0, -40.0]), lambda_=jnp.array([-10.0])
    )


@pytest.mark.parametrize("counting", [counting_min_gru, counting_rg_lru])
def test_a_unit_with_negative_eigenvalues_computes_parity_at_any_length(counting):
    """Which Grazzi et al. 2025 (arXiv:2411.12537), theorem 1, excludes for positive ones."""
    cell, params = counting()
    bits = np.random.default_rng(0).integers(0, 2, 1000)
    _, ys = unroll(cell, params, jnp.asarray(bits[:, None], float))
    np.testing.assert_allclose(ys[:, 0], np.cumsum(bits) % 2, atol=1e-12)


@pytest.mark.parametrize("size", [2, 8, 32])
def test_s5_starts_from_the_normal_part_of_hippo(size):
    """Gu et al. 2020 (arXiv:2008.07669), HiPPO-LegS, plus p p^T: all eigenvalues are the pairs of those returned."""
    n, k = np.mgrid[:size, :size]
    hippo = -np.where(n > k, np.sqrt((2 * n + 1) * (2 * k + 1)), np.where(n == k, n + 1, 0))
    p = np.sqrt(np.arange(size) + 0.5)
    eigenvalues, vectors = hippo_n(size)
    np.testing.assert_allclose((hippo + np.outer(p, p)) @ vectors, vectors * eigenvalues, atol=1e-11)
    pairs = np.concatenate([vectors, vectors.conj()], axis=1)
    np.testing.assert_allclose(pairs.conj().T @ pairs, np.eye(size), atol=1e-12)


def test_the_delta_rule_replaces_the_value_of_a_key_and_no_other():
    """With beta = 1 and orthogonal keys; linear attention would add the second value to the first."""
    cell = DeltaNet(D, H)
    keys, values = np.linalg.qr(np.random.default_rng(0).normal(size=(H, H)))[0], np.eye(H)
    memory = jnp.zeros((1, H, H))
    for key, value in [*zip(keys, values, strict=True), (keys[1], -3 * values[2])]:
        write = Replace(jnp.ones(1), jnp.ones(1), jnp.asarray(key[None]), jnp.asarray(value[None]))
        memory = cell.step((), memory, write)
    values[1] = -3 * values[2]
    np.testing.assert_allclose(memory[0] @ keys.T, values.T, atol=1e-14)


@pytest.mark.parametrize(("negative", "smallest"), [(False, 0.0), (True, -1.0)])
def test_the_delta_rule_has_the_eigenvalues_one_and_one_minus_beta(negative, smallest, make_problem):
    cell = DeltaNet(D, H, negative_eigenvalues=negative)
    problem = make_problem(cell)
    drive = cell.project(problem.params, problem.xs)
    transition, _ = cell.linear(problem.params, drive)
    eigenvalues = np.linalg.eigvalsh(transition.dense().w)[:, :, 0, 0]  # [T, B, H]
    np.testing.assert_allclose(eigenvalues[..., 1:], 1, atol=1e-12)
    assert np.all((eigenvalues[..., 0] > smallest) & (eigenvalues[..., 0] < 1))
    assert (np.min(eigenvalues) < 0) == negative
    np.testing.assert_allclose(eigenvalues[..., :1], 1 - drive.beta, atol=1e-4)  # keys are a little shorter than 1


def test_m_lstm_needs_no_stabiliser_for_gates_beyond_the_range_of_single_precision():
    """exp(100) is no number of float32. A factor of all inputs cancels out of what is read."""
    cell = MLSTM(D, H, heads=2)
    params = jax.tree.map(lambda p: p.astype(jnp.float32), cell.init(jax.random.key(0)))
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(8, D)), jnp.float32)

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def run(b_i):
        opened = params._replace(b=params.b.at[2 * H : 2 * H + 2].set(b_i))
        _, ys = unroll(cell, opened, xs, engine=Scan())
        return jnp.sum(ys**2), ys

    (_, ys), gradient = run(jnp.full(2, 100.0, jnp.float32))
    assert np.all(np.isfinite(gradient))
    np.testing.assert_allclose(ys, run(jnp.full(2, 30.0, jnp.float32))[0][1], rtol=1e-4)
