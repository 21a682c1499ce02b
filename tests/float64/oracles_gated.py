"""Gated cells in NumPy, from the papers' equations.

One sequence, column notation; the stored weights are [in, out].
"""

import numpy as np

from rnn_jax import BRC, JANET, MGU, NBRC, QRNN, RHN, SLSTM, SRU, FastGRNN


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def mgu(params, xs, h):
    """Zhou et al. 2016 (arXiv:1603.09420), section 3, with W [h, x] as the paper writes it."""
    (u_f, u_h), (v_f, v_h) = np.split(params.w_h.T, 2), np.split(params.w_i.T, 2)
    w_f, w_h = np.hstack([u_f, v_f]), np.hstack([u_h, v_h])
    b_f, b_h = np.split(params.b, 2)
    hs = []
    for x in xs:
        f = sigmoid(w_f @ np.concatenate([h, x]) + b_f)
        candidate = np.tanh(w_h @ np.concatenate([f * h, x]) + b_h)
        h = (1 - f) * h + f * candidate
        hs.append(h)
    return h, np.stack(hs)


def janet(beta):
    """Van der Westhuizen & Lasenby 2018 (arXiv:1804.04849), section 3: h = c."""

    def run_sequence(params, xs, c):
        (u_f, u_c), (w_f, w_c) = np.split(params.w_h.T, 2), np.split(params.w_i.T, 2)
        b_f, b_c = np.split(params.b, 2)
        cs = []
        for x in xs:
            s = u_f @ c + w_f @ x + b_f
            candidate = np.tanh(u_c @ c + w_c @ x + b_c)
            c = sigmoid(s) * c + (1 - sigmoid(s - beta)) * candidate
            cs.append(c)
        return c, np.stack(cs)

    return run_sequence


def fast_grnn(params, xs, h):
    """Kusupati et al. 2018 (arXiv:1901.02358), section 3.2; zeta and nu in [0, 1]."""
    w, u = params.w_i.T, params.w_h.T
    zeta, nu = sigmoid(params.zeta), sigmoid(params.nu)
    hs = []
    for x in xs:
        z = sigmoid(w @ x + u @ h + params.b_z)
        candidate = np.tanh(w @ x + u @ h + params.b_n)
        h = (zeta * (1 - z) + nu) * candidate + z * h
        hs.append(h)
    return h, np.stack(hs)


def rhn(params, xs, s):
    """Zilly et al. 2017 (arXiv:1607.03474), eq. 6-9: W reads x in the first layer alone; c = 1 - t."""
    w_h, w_t = np.split(params.w_i.T, 2)
    ys = []
    for x in xs:
        for layer in range(len(params.w_h)):
            r_h, r_t = np.split(params.w_h[layer].T, 2)
            b_h, b_t = np.split(params.b[layer], 2)
            first = float(layer == 0)
            h = np.tanh(first * w_h @ x + r_h @ s + b_h)
            t = sigmoid(first * w_t @ x + r_t @ s + b_t)
            s = h * t + s * (1 - t)
        ys.append(s)
    return s, np.stack(ys)


def sru(b_r):
    """Lei et al. 2018 (arXiv:1709.02755v5), section 3, with the scaled x."""

    def run_sequence(params, xs, state):
        c, r = state
        w, w_f, w_r, *w_skip = np.split(params.w_i.T, params.w_i.shape[1] // len(c))
        (v_f, v_r), (b_f, b_reset) = np.split(params.v, 2), np.split(params.b, 2)
        hs = []
        for x in xs:
            f = sigmoid(w_f @ x + v_f * c + b_f)
            r = sigmoid(w_r @ x + v_r * c + b_reset)
            c = f * c + (1 - f) * (w @ x)
            hs.append(r * c + (1 - r) * (w_skip[0] @ x if w_skip else np.sqrt(1 + np.exp(b_r) * 2) * x))
        return (c, r), np.stack(hs)

    return run_sequence


def qrnn(params, xs, c):
    """Bradbury et al. 2017 (arXiv:1611.01576), section 2, fo-pooling with filters of width 1."""
    (w_z, w_f, w_o), (b_z, b_f, b_o) = np.split(params.w_i.T, 3), np.split(params.b, 3)
    hs = []
    for x in xs:
        z, f, o = np.tanh(w_z @ x + b_z), sigmoid(w_f @ x + b_f), sigmoid(w_o @ x + b_o)
        c = f * c + (1 - f) * z
        hs.append(o * c)
    return c, np.stack(hs)


def bistable(feedback):
    """Vecoven et al. 2021 (arXiv:2006.05252); `feedback` returns the matrices of h for a and c."""

    def run_sequence(params, xs, h):
        (u_a, u_c, u), (b_a, b_c) = np.split(params.w_i.T, 3), np.split(params.b, 2)
        w_a, w_c = feedback(params)
        hs = []
        for x in xs:
            a = 1 + np.tanh(u_a @ x + w_a @ h + b_a)
            c = sigmoid(u_c @ x + w_c @ h + b_c)
            h = c * h + (1 - c) * np.tanh(u @ x + a * h)
            hs.append(h)
        return h, np.stack(hs)

    return run_sequence


def slstm(params, xs, state):
    """Beck et al. 2024 (arXiv:2405.04517), eq. 8-17, unit by unit: R_g[j, k] is 0 for j and k of different heads."""
    h, c, n, m = state
    size, width = len(h), params.w_h.shape[1]
    r = np.zeros((4, size, size))
    for j in range(size):
        for k in range(size):
            if j // width == k // width:
                r[:, j, k] = params.w_h[j // width, k % width, j % width :: width]
    hs = []
    for x in xs:
        i, f, z, o = (
            w @ x + r_g @ h + b for w, r_g, b in zip(np.split(params.w_i.T, 4), r, np.split(params.b, 4), strict=True)
        )
        log_f = np.log(sigmoid(f))
        m_tm1, m = m, np.maximum(log_f + m, i)
        c = np.exp(log_f + m_tm1 - m) * c + np.exp(i - m) * np.tanh(z)
        n = np.exp(log_f + m_tm1 - m) * n + np.exp(i - m)
        h = sigmoid(o) * (c / n)
        hs.append(h)
    return (h, c, n, m), np.stack(hs)


# By name: the cell, and the function (params, xs, state) -> (final state, ys).
ORACLES = {
    "mgu": (MGU(3, 4), mgu),
    "janet": (JANET(3, 4), janet(1.0)),
    "janet, beta": (JANET(3, 4, beta=0.3), janet(0.3)),
    "fast_grnn": (FastGRNN(3, 4), fast_grnn),
    "rhn": (RHN(3, 4), rhn),
    "rhn, depth 1": (RHN(3, 4, depth=1), rhn),
    "sru": (SRU(3, 4), sru(0.0)),
    "sru, as many inputs": (SRU(4, 4, highway_bias=-1.5), sru(-1.5)),
    "qrnn": (QRNN(3, 4), qrnn),
    "brc": (BRC(3, 4), bistable(lambda params: [np.diag(v) for v in np.split(params.v, 2)])),
    "nbrc": (NBRC(3, 4), bistable(lambda params: np.split(params.w_h.T, 2))),
    "slstm": (SLSTM(3, 4), slstm),
    "slstm, heads": (SLSTM(3, 4, heads=2), slstm),
}
