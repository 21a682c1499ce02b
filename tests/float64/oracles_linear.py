"""Cells that are linear in their state in NumPy, from the papers' equations.

One sequence, column notation; the stored weights are [in, out].
"""

import numpy as np
import scipy.linalg

from rnn_jax import GLA, HGRN2, MLSTM, RGLRU, S5, S6, DeltaNet, GatedDeltaNet, MinGRU


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def softplus(a):
    return np.logaddexp(0, a)


def silu(a):
    return a * sigmoid(a)


def s5(params, xs, state):
    """Smith et al. 2023 (arXiv:2208.04933), eq. 1 and 2: the exact solution for an input that is constant in a step.

    Every unit and its conjugate are computed, as those of a real system.
    """
    b, c = (params.b_re + 1j * params.b_im).T, (params.c_re + 1j * params.c_im).T
    eigenvalues, dt = params.lambda_re + 1j * params.lambda_im, np.exp(params.log_dt)
    b, c = np.concatenate([b, b.conj()]), np.concatenate([c, c.conj()], axis=1)
    eigenvalues, dt = np.concatenate([eigenvalues, eigenvalues.conj()]), np.concatenate([dt, dt])
    s, ys = np.concatenate([state, state.conj()]), []
    for x in xs:
        u = b @ x
        for n in range(len(s)):  # d/dt (s, u) = (lambda s + u, 0)
            s[n] = (scipy.linalg.expm(dt[n] * np.array([[eigenvalues[n], 1], [0, 0]])) @ [s[n], u[n]])[0]
        ys.append((c @ s).real + params.d.T @ x)
    return s[: len(state)], np.stack(ys)


def rg_lru(negative):
    """De et al. 2024 (arXiv:2402.19427), eq. 1-4; Grazzi et al. 2025 (arXiv:2411.12537): h times 2a - 1, not a."""

    def run_sequence(params, xs, h):
        (w_x, w_a, w_i), (b_x, b_a, b_i) = np.split(params.w_i.T, 3), np.split(params.b, 3)
        hs = []
        for x in xs:
            r, i = sigmoid(w_a @ x + b_a), sigmoid(w_i @ x + b_i)
            a = sigmoid(params.lambda_) ** (8 * r)
            h = (2 * a - 1 if negative else a) * h + np.sqrt(1 - a**2) * (i * (w_x @ x + b_x))
            hs.append(h)
        return h, np.stack(hs)

    return run_sequence


def min_gru_negative(params, xs, h):
    """Feng et al. 2024 (arXiv:2410.01201), section 3.1, with a = 1 - z as 2a - 1 (Grazzi et al. 2025)."""
    (w_z, w_h), (b_z, b_h) = np.split(params.w_i.T, 2), np.split(params.b, 2)
    hs = []
    for x in xs:
        z, candidate = sigmoid(w_z @ x + b_z), w_h @ x + b_h
        candidate = np.where(candidate >= 0, candidate + 0.5, sigmoid(candidate))
        h = (2 * (1 - z) - 1) * h + z * candidate
        hs.append(h)
    return h, np.stack(hs)


def s6(negative, states):
    """Gu & Dao 2024 (arXiv:2312.00752), algorithm 2: every channel is a system of its own, of `states` states."""

    def run_sequence(params, xs, state):
        channels = len(params.d)
        w_u, w_r, w_b = np.split(params.w_i.T, [channels, len(params.w_i.T) - states])
        state, ys = list(state), []
        for x in xs:
            u, b, c = w_u @ x, w_b @ x, params.w_c.T @ x
            delta = softplus(params.w_dt.T @ (w_r @ x) + params.b_dt)
            y = []
            for d in range(channels):
                a_bar = scipy.linalg.expm(delta[d] * np.diag(-np.exp(params.a_log[d])))
                a_bar = 2 * a_bar - np.eye(states) if negative else a_bar
                state[d] = a_bar @ state[d] + delta[d] * b * u[d]
                y.append(c @ state[d] + params.d[d] * u[d])
            ys.append(np.array(y))
        return np.stack(state), np.stack(ys)

    return run_sequence


def gla(params, xs, memories):
    """Yang et al. 2024 (arXiv:2312.06635), eq. 3, with S transposed: rows are keys there."""
    heads, size = memories.shape[:2]
    units = heads * size
    w_k, w_v, w_r = np.split(params.w_i.T, [units, 2 * units])
    memories, outputs = list(memories), []
    for x in xs:
        alpha = sigmoid(params.w_f.T @ (w_r @ x) + params.b_f) ** (1 / 16)
        k, v, q = w_k @ x, w_v @ x, params.w_q.T @ x / np.sqrt(size)
        o = []
        for n in range(heads):
            s = slice(n * size, (n + 1) * size)
            transposed = np.diag(alpha[s]) @ memories[n].T + np.outer(k[s], v[s])
            memories[n] = transposed.T
            o.append(q[s] @ transposed)
        outputs.append(np.concatenate(o))
    return np.stack(memories), np.stack(outputs)


def hgrn2(lower_bound):
    """Qin et al. 2024 (arXiv:2404.07904), section 3: h = Diag(f) h + (1 - f) i^T, y = h^T o: rows are gates there."""

    def run_sequence(params, xs, memories):
        heads, size = memories.shape[:2]
        w_f, w_i = np.split(params.w_i.T, 2)
        memories, outputs = list(memories), []
        for x in xs:
            f = lower_bound + (1 - lower_bound) * sigmoid(w_f @ x)
            i, o = w_i @ x, silu(params.w_q.T @ x)
            y = []
            for n in range(heads):
                s = slice(n * size, (n + 1) * size)
                h = np.diag(f[s]) @ memories[n].T + np.outer(1 - f[s], i[s])
                memories[n] = h.T
                y.append(h.T @ o[s])
            outputs.append(np.concatenate(y))
        return np.stack(memories), np.stack(outputs)

    return run_sequence


def m_lstm(params, xs, state):
    """Beck et al. 2024 (arXiv:2405.04517), eq. 19-27, stabilised by eq. 15-17, with a head's own m.

    The denominator is at least e^-m, as in the authors' code, which is 1 without the stabiliser.
    """
    heads, size = state[1].shape
    units = heads * size
    (w_k, w_v, w_i, w_f), (b_k, b_v, b_i, b_f) = (
        np.split(array, [units, 2 * units, 2 * units + heads]) for array in (params.w_i.T, params.b)
    )
    (w_q, w_o), (b_q, b_o) = np.split(params.w_o.T, 2), np.split(params.b_o, 2)
    c, n, m, hs = list(state[0]), list(state[1]), np.zeros(heads), []
    for x in xs:
        q, k, v, o = w_q @ x + b_q, (w_k @ x + b_k) / np.sqrt(size), w_v @ x + b_v, sigmoid(w_o @ x + b_o)
        i_tilde, log_f = w_i @ x + b_i, np.log(sigmoid(w_f @ x + b_f))
        h = []
        for j in range(heads):
            s = slice(j * size, (j + 1) * size)
            m_before, m[j] = m[j], max(log_f[j] + m[j], i_tilde[j])
            i, f = np.exp(i_tilde[j] - m[j]), np.exp(log_f[j] + m_before - m[j])
            c[j] = f * c[j] + i * np.outer(v[s], k[s])
            n[j] = f * n[j] + i * k[s]
            h.append(o[s] * (c[j] @ q[s]) / max(abs(n[j] @ q[s]), np.exp(-m[j])))
        hs.append(np.concatenate(h))
    units_of_m = np.exp(m)
    return (np.stack(c) * units_of_m[:, None, None], np.stack(n) * units_of_m[:, None]), np.stack(hs)


def delta_rule(negative, gated):
    """Yang et al. 2024 (arXiv:2406.06484), eq. 5, and 2025 (arXiv:2412.06464), eq. 10, with the matrix in full."""

    def run_sequence(params, xs, memories):
        heads, size = memories.shape[:2]
        units = heads * size
        w_k, w_v, w_beta, w_g = np.split(params.w_i.T, [units, 2 * units, 2 * units + heads])
        memories, outputs = list(memories), []
        for x in xs:
            q, k, v = silu(params.w_q.T @ x), silu(w_k @ x), silu(w_v @ x)
            beta = (2 if negative else 1) * sigmoid(w_beta @ x)
            alpha = np.exp(-np.exp(params.a_log) * softplus(w_g @ x + params.b_g)) if gated else np.ones(heads)
            o = []
            for n in range(heads):
                s = slice(n * size, (n + 1) * size)
                key, query = (a / np.sqrt(a @ a + 1e-6) for a in (k[s], q[s]))
                householder = np.eye(size) - beta[n] * np.outer(key, key)
                memories[n] = memories[n] @ (alpha[n] * householder) + beta[n] * np.outer(v[s], key)
                o.append(memories[n] @ query)
            outputs.append(np.concatenate(o))
        return np.stack(memories), np.stack(outputs)

    return run_sequence


# By name: the cell, and the function (params, xs, state) -> (final state, ys).
ORACLES = {
    "s5": (S5(3, 4), s5),
    "s5, blocks": (S5(3, 4, blocks=2), s5),
    "rg_lru": (RGLRU(3, 4), rg_lru(negative=False)),
    "rg_lru_negative": (RGLRU(3, 4, negative_eigenvalues=True), rg_lru(negative=True)),
    "min_gru_negative": (MinGRU(3, 4, negative_eigenvalues=True), min_gru_negative),
    "s6": (S6(3, 4), s6(negative=False, states=16)),
    "s6, negative": (S6(3, 4, state_size=2, dt_rank=2, negative_eigenvalues=True), s6(negative=True, states=2)),
    "gla": (GLA(3, 4, heads=2), gla),
    "hgrn2": (HGRN2(3, 4, heads=2, lower_bound=0.3), hgrn2(0.3)),
    "m_lstm": (MLSTM(3, 4, heads=2), m_lstm),
    "delta_net": (DeltaNet(3, 4, heads=2), delta_rule(negative=False, gated=False)),
    "delta_net, negative": (DeltaNet(3, 4, negative_eigenvalues=True), delta_rule(negative=True, gated=False)),
    "gated_delta_net": (GatedDeltaNet(3, 4, heads=2), delta_rule(negative=False, gated=True)),
}
