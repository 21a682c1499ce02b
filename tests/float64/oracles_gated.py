"""Gated cells in NumPy, from the papers' equations.

One sequence, column notation; the stored weights are [in, out].
"""

import numpy as np

from rnn_jax import JANET, MGU, FastGRNN


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


# By name: the cell, and the function (params, xs, state) -> (final state, ys).
ORACLES = {
    "mgu": (MGU(3, 4), mgu),
    "janet": (JANET(3, 4), janet(1.0)),
    "janet, beta": (JANET(3, 4, beta=0.3), janet(0.3)),
    "fast_grnn": (FastGRNN(3, 4), fast_grnn),
}
