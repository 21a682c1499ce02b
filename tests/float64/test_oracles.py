"""The cells against NumPy written from the papers, and the scan against a plain loop.

The oracles take one sequence, in the papers' column notation: W x, with W the transpose of the stored weights.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnn_jax import (
    CELLS,
    GRU,
    LRU,
    LSTM,
    CoRNN,
    CoupledLSTM,
    GRUResetBefore,
    IndRNN,
    LayerNormGRU,
    LayerNormLSTM,
    LinearRNN,
    MinGRU,
    MinLSTM,
    PeepholeLSTM,
    ProjectedLSTM,
    VanillaRNN,
    trees,
    unroll,
)
from tests.float64 import oracles_constrained, oracles_gated, oracles_linear


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def relu(a):
    return np.where(a > 0, a, 0.0)


def elman(activation):
    """Elman 1990: unit j sees every input and every unit of the step before."""

    def run_sequence(params, xs, h):
        hs = []
        for x in xs:
            h_tm1, h = h, np.empty_like(h)
            for j in range(len(h)):
                net = params.b[j]
                for d in range(len(x)):
                    net += params.w_i[d, j] * x[d]
                for k in range(len(h_tm1)):
                    net += params.w_h[k, j] * h_tm1[k]
                h[j] = activation(net)
            hs.append(h)
        return h, np.stack(hs)

    return run_sequence


def lstm(params, xs, state):
    """Gers, Schmidhuber & Cummins 2000, without peepholes: cell by cell, the gates in the order i f g o."""
    h, c = state
    size = len(h)
    hs = []
    for x in xs:
        h_tm1, c_tm1 = h, c
        h, c = np.empty(size), np.empty(size)
        for j in range(size):
            net_i, net_f, net_g, net_o = (
                sum(params.w_i[d, unit] * x[d] for d in range(len(x)))
                + sum(params.w_h[k, unit] * h_tm1[k] for k in range(size))
                + params.b[unit]
                for unit in (j, size + j, 2 * size + j, 3 * size + j)
            )
            c[j] = sigmoid(net_f) * c_tm1[j] + sigmoid(net_i) * np.tanh(net_g)
            h[j] = sigmoid(net_o) * np.tanh(c[j])
        hs.append(h)
    return (h, c), np.stack(hs)


def gru(reset_after):
    """Cho et al. 2014: reset gate r, update gate z, candidate n; U multiplies h before the reset or after it."""

    def run_sequence(params, xs, h):
        w_r, w_z, w_n = np.split(params.w_i.T, 3)
        u_r, u_z, u_n = np.split(params.w_h.T, 3)
        b_r, b_z, b_n = np.split(params.b, 3)
        hs = []
        for x in xs:
            r = sigmoid(w_r @ x + u_r @ h + b_r)
            z = sigmoid(w_z @ x + u_z @ h + b_z)
            recurrent = r * (u_n @ h + params.b_hn) if reset_after else u_n @ (r * h)
            n = np.tanh(w_n @ x + b_n + recurrent)
            h = z * h + (1 - z) * n
            hs.append(h)
        return h, np.stack(hs)

    return run_sequence


def peephole_lstm(params, xs, state):
    """Graves 2013 (arXiv:1308.0850), eq. 7-11: the peepholes W_ci, W_cf, W_co are diagonal matrices."""
    h, c = state
    w_xi, w_xf, w_xc, w_xo = np.split(params.w_i.T, 4)
    w_hi, w_hf, w_hc, w_ho = np.split(params.w_h.T, 4)
    b_i, b_f, b_c, b_o = np.split(params.b, 4)
    w_ci, w_cf, w_co = map(np.diag, np.split(params.p, 3))
    hs = []
    for x in xs:
        i = sigmoid(w_xi @ x + w_hi @ h + w_ci @ c + b_i)
        f = sigmoid(w_xf @ x + w_hf @ h + w_cf @ c + b_f)
        c = f * c + i * np.tanh(w_xc @ x + w_hc @ h + b_c)
        o = sigmoid(w_xo @ x + w_ho @ h + w_co @ c + b_o)
        h = o * np.tanh(c)
        hs.append(h)
    return (h, c), np.stack(hs)


def coupled_lstm(params, xs, state):
    """Greff et al. 2017 (arXiv:1503.04069): the input gate i is drawn, f = 1 - i. Its weights are ours negated."""
    h, c = state
    (w_f, w_g, w_o), (u_f, u_g, u_o) = np.split(params.w_i.T, 3), np.split(params.w_h.T, 3)
    b_f, b_g, b_o = np.split(params.b, 3)
    hs = []
    for x in xs:
        i = sigmoid(-w_f @ x - u_f @ h - b_f)
        f = 1 - i
        o = sigmoid(w_o @ x + u_o @ h + b_o)
        c = np.tanh(w_g @ x + u_g @ h + b_g) * i + c * f
        h = np.tanh(c) * o
        hs.append(h)
    return (h, c), np.stack(hs)


def projected_lstm(params, xs, state):
    """Sak et al. 2014 (arXiv:1402.1128), eq. 7-12 without peepholes: gates see the projection r of m."""
    r, c = state
    (w_i, w_f, w_c, w_o), (u_i, u_f, u_c, u_o) = np.split(params.w_i.T, 4), np.split(params.w_h.T, 4)
    b_i, b_f, b_c, b_o = np.split(params.b, 4)
    rs = []
    for x in xs:
        i, f = sigmoid(w_i @ x + u_i @ r + b_i), sigmoid(w_f @ x + u_f @ r + b_f)
        o = sigmoid(w_o @ x + u_o @ r + b_o)
        c = f * c + i * np.tanh(w_c @ x + u_c @ r + b_c)
        m = o * np.tanh(c)
        r = params.w_p.T @ m
        rs.append(r)
    return (r, c), np.stack(rs)


def normalise(z, gain):
    """Ba et al. 2016, with the epsilon that every implementation adds to the variance."""
    mean = sum(z) / len(z)
    deviation = np.sqrt(sum((z - mean) ** 2) / len(z) + 1e-5)
    return gain / deviation * (z - mean)


def layer_norm_lstm(params, xs, state):
    """Ba et al. 2016 (arXiv:1607.06450), supplement; our gates stand in the order i f g o."""
    h, c = state
    hs = []
    for x in xs:
        sums = normalise(params.w_h.T @ h, params.gain_h) + normalise(params.w_i.T @ x, params.gain_i) + params.b
        i, f, g, o = np.split(sums, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(normalise(c, params.gain_c) + params.b_c)
        hs.append(h)
    return (h, c), np.stack(hs)


def layer_norm_gru(params, xs, h):
    """Ba et al. 2016, supplement; their z is the share replaced, ours the share kept."""
    size = len(h)
    gates, candidate = slice(0, 2 * size), slice(2 * size, None)
    hs = []
    for x in xs:
        x_sums, h_sums = params.w_i.T @ x, params.w_h.T @ h
        r, kept = np.split(
            normalise(h_sums[gates], params.gain_h[gates])
            + normalise(x_sums[gates], params.gain_i[gates])
            + params.b[gates],
            2,
        )
        z = 1 - sigmoid(kept)
        inner = normalise(h_sums[candidate], params.gain_h[candidate]) + params.b_hn
        outer = normalise(x_sums[candidate], params.gain_i[candidate]) + params.b[candidate]
        h = (1 - z) * h + z * np.tanh(outer + sigmoid(r) * inner)
        hs.append(h)
    return h, np.stack(hs)


def g(a):
    """Feng et al. 2024 (arXiv:2410.01201), appendix B: candidates are positive."""
    return np.array([value + 0.5 if value >= 0 else sigmoid(value) for value in a])


def min_gru(params, xs, h):
    """Feng et al. 2024, section 3.1: z is the share replaced."""
    (w_z, w_h), (b_z, b_h) = np.split(params.w_i.T, 2), np.split(params.b, 2)
    hs = []
    for x in xs:
        z, candidate = sigmoid(w_z @ x + b_z), g(w_h @ x + b_h)
        h = (1 - z) * h + z * candidate
        hs.append(h)
    return h, np.stack(hs)


def min_lstm(params, xs, h):
    """Feng et al. 2024, section 3.2: the gates' sum is normalised to one."""
    (w_f, w_i, w_h), (b_f, b_i, b_h) = np.split(params.w_i.T, 3), np.split(params.b, 3)
    hs = []
    for x in xs:
        f, i, candidate = sigmoid(w_f @ x + b_f), sigmoid(w_i @ x + b_i), g(w_h @ x + b_h)
        h = f / (f + i) * h + i / (f + i) * candidate
        hs.append(h)
    return h, np.stack(hs)


def lru(params, xs, state):
    """Orvieto et al. 2023 (arXiv:2303.06349), eq. 6-8: s_t by powers of lambda, y = Re(C s) + D x."""
    b, c = (params.b_re + 1j * params.b_im).T, (params.c_re + 1j * params.c_im).T
    size = np.exp(-np.exp(params.nu))
    eigenvalues = size * (np.cos(np.exp(params.theta)) + 1j * np.sin(np.exp(params.theta)))
    inputs = [np.exp(params.gamma) * (b @ x) for x in xs]
    ys = []
    for t, x in enumerate(xs):
        s = eigenvalues ** (t + 1) * state + sum(eigenvalues**k * inputs[t - k] for k in range(t + 1))
        ys.append((c @ s).real + params.d.T @ x)
    return s, np.stack(ys)


def ind_rnn(params, xs, h):
    """Li et al. 2018 (arXiv:1803.04831), eq. 2: unit n reads its own state alone."""
    hs = []
    for x in xs:
        h = np.array([relu(params.w_i[:, n] @ x + params.u[n] * h[n] + params.b[n]) for n in range(len(h))])
        hs.append(h)
    return h, np.stack(hs)


def co_rnn(dt, gamma, epsilon):
    """Rusch & Mishra 2021 (arXiv:2010.00951), eq. 3, with the damping of z at the step before."""

    def run_sequence(params, xs, state):
        y, z = state
        w, w_cal, v = params.w_y.T, params.w_z.T, params.w_i.T
        ys = []
        for u in xs:
            z = z + dt * np.tanh(w @ y + w_cal @ z + v @ u + params.b) - dt * gamma * y - dt * epsilon * z
            y = y + dt * z
            ys.append(y)
        return (y, z), np.stack(ys)

    return run_sequence


ORACLES = {
    "tanh": (VanillaRNN(3, 4), elman(np.tanh)),
    "relu": (VanillaRNN(3, 4, jax.nn.relu), elman(relu)),
    "sigmoid": (VanillaRNN(3, 4, jax.nn.sigmoid), elman(sigmoid)),
    "lstm": (LSTM(3, 4), lstm),
    "lstm_peephole": (PeepholeLSTM(3, 4), peephole_lstm),
    "lstm_coupled": (CoupledLSTM(3, 4), coupled_lstm),
    "lstm_projected": (ProjectedLSTM(3, 4, proj_size=2), projected_lstm),
    "lstm_layer_norm": (LayerNormLSTM(3, 4), layer_norm_lstm),
    "gru": (GRU(3, 4), gru(reset_after=True)),
    "gru_reset_before": (GRUResetBefore(3, 4), gru(reset_after=False)),
    "gru_layer_norm": (LayerNormGRU(3, 4), layer_norm_gru),
    "min_gru": (MinGRU(3, 4), min_gru),
    "min_lstm": (MinLSTM(3, 4), min_lstm),
    "lru": (LRU(3, 4), lru),
    "linear": (LinearRNN(3, 4), elman(lambda a: a)),
    "ind_rnn": (IndRNN(3, 4), ind_rnn),
    "co_rnn": (CoRNN(3, 4), co_rnn(0.042, 2.7, 4.7)),
    "co_rnn, adding": (CoRNN(3, 4, dt=0.06, gamma=66.0, epsilon=15.0), co_rnn(0.06, 66.0, 15.0)),
}


EXTENDED = oracles_constrained.ORACLES | oracles_gated.ORACLES | oracles_linear.ORACLES


def test_every_cell_has_an_oracle():
    oracles = ORACLES | EXTENDED
    assert {type(make(3, 4)) for make in CELLS.values()} == {type(cell) for cell, _ in oracles.values()}


@pytest.mark.parametrize(
    ("cell", "oracle"),
    [
        *(pytest.param(*pair, id=name) for name, pair in ORACLES.items()),
        *(pytest.param(*pair, id=name, marks=pytest.mark.extended) for name, pair in EXTENDED.items()),
    ],
)
def test_cell_follows_its_paper(cell, oracle, make_problem, run):
    _, params, state, xs = make_problem(cell)
    assert all(np.all(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(params))
    final_state, ys = run(cell, params, xs, state)
    for b in range(xs.shape[1]):
        own = jax.tree.map(lambda leaf, b=b: np.asarray(leaf[b]), state)
        wanted_state, expected = oracle(jax.tree.map(np.asarray, params), np.asarray(xs[:, b]), own)
        np.testing.assert_allclose(ys[:, b], expected, rtol=0, atol=1e-12)
        for leaf, wanted_leaf in zip(
            jax.tree.leaves(final_state), jax.tree.leaves(jax.tree.map(np.asarray, wanted_state)), strict=True
        ):
            np.testing.assert_allclose(leaf[b], wanted_leaf, rtol=0, atol=1e-12)


def loop(cell, params, xs, state):
    """The contract of `unroll` as a loop over steps."""
    ys = []
    for x in xs:
        state = cell.step(params, state, cell.project(params, x))
        ys.append(cell.output(params, state, x))
    return state, jax.tree.map(lambda *leaves: jnp.stack(leaves), *ys)


def test_scan_equals_a_loop(common_problem, weigh):
    cell, params, state, xs = common_problem

    def values_and_gradients(way):
        def loss(params, xs, leaves):
            final_state, ys = way(cell, params, xs, trees.refill(state, leaves))
            return weigh(final_state, ys), (final_state, ys)

        return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))(params, xs, trees.floats(state))

    chex.assert_trees_all_close(values_and_gradients(unroll), values_and_gradients(loop), rtol=1e-12, atol=1e-12)


def test_two_segments_equal_one_sequence(problem, run):
    cell, params, state, xs = problem
    middle, first = run(cell, params, xs[:2], state)
    final_state, second = run(cell, params, xs[2:], middle)
    ys = jax.tree.map(lambda *parts: jnp.concatenate(parts), first, second)
    chex.assert_trees_all_close((final_state, ys), run(cell, params, xs, state), rtol=0, atol=1e-12)


def test_state_defaults_to_the_initial_state(problem, run):
    cell, params, _, xs = problem
    given = run(cell, params, xs, cell.initial_state(params, xs.shape[1:-1]))
    chex.assert_trees_all_close(run(cell, params, xs), given, rtol=0, atol=0)


def test_a_batch_equals_its_sequences_run_alone(common_problem, make_problem, run):
    cell, params, state, xs = make_problem(common_problem.cell, batch_shape=(2, 3))
    final_state, ys = run(cell, params, xs, state)
    for index in np.ndindex(2, 3):
        alone = run(cell, params, xs[:, *index], jax.tree.map(lambda leaf, i=index: leaf[i], state))
        together = (
            jax.tree.map(lambda leaf, i=index: leaf[i], final_state),
            jax.tree.map(lambda leaf, i=index: leaf[:, *i], ys),
        )
        chex.assert_trees_all_close(together, alone, rtol=0, atol=1e-12)
