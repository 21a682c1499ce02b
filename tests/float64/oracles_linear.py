"""Cells that are linear in their state in NumPy, from the papers' equations.

One sequence, column notation; the stored weights are [in, out].
"""

import numpy as np
import scipy.linalg

from rnn_jax import RGLRU, S5, MinGRU


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


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


# By name: the cell, and the function (params, xs, state) -> (final state, ys).
ORACLES = {
    "s5": (S5(3, 4), s5),
    "s5, blocks": (S5(3, 4, blocks=2), s5),
    "rg_lru": (RGLRU(3, 4), rg_lru(negative=False)),
    "rg_lru_negative": (RGLRU(3, 4, negative_eigenvalues=True), rg_lru(negative=True)),
    "min_gru_negative": (MinGRU(3, 4, negative_eigenvalues=True), min_gru_negative),
}
