"""Constrained and continuous-time cells in NumPy, from the papers' equations.

One sequence, column notation; the stored weights are [in, out].
"""

import numpy as np
import scipy.linalg

from rnn_jax import LEM, AntisymmetricRNN, ExpRNN, GatedAntisymmetricRNN, LipschitzRNN


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def skew(entries, size):
    """Returns the skew-symmetric matrix with these entries above its diagonal, row by row."""
    matrix, rest = np.zeros((size, size)), iter(entries)
    for i in range(size):
        for j in range(i + 1, size):
            matrix[i, j] = next(rest)
            matrix[j, i] = -matrix[i, j]
    return matrix


def antisymmetric(epsilon, gamma, gated):
    """Chang et al. 2019 (arXiv:1902.09689), eq. 8, and eq. 9 and 10 with the gate z."""

    def run_sequence(params, xs, h):
        # The stored matrix is that of the equations, transposed.
        w = skew(params.a, len(h)).T - gamma * np.eye(len(h))
        hs = []
        for x in xs:
            if gated:
                (v_z, v_h), (b_z, b_h) = np.split(params.w_i.T, 2), np.split(params.b, 2)
                z = sigmoid(w @ h + v_z @ x + b_z)
                h = h + epsilon * z * np.tanh(w @ h + v_h @ x + b_h)
            else:
                h = h + epsilon * np.tanh(w @ h + params.w_i.T @ x + params.b)
            hs.append(h)
        return h, np.stack(hs)

    return run_sequence


def exp_rnn(params, xs, h):
    """Lezcano-Casado & Martinez-Rubio 2019 (arXiv:1901.08428), eq. 1, with modReLU for real numbers."""
    b = scipy.linalg.expm(skew(params.a, len(h)).T)
    hs = []
    for x in xs:
        z = b @ h + params.w_i.T @ x
        h = np.array([np.sign(value) * max(abs(value) + bias, 0.0) for value, bias in zip(z, params.b, strict=True)])
        hs.append(h)
    return h, np.stack(hs)


def lipschitz(epsilon, beta, gamma):
    """Erichson et al. 2021 (arXiv:2006.12070), eq. 3 and 4, an Euler step."""

    def run_sequence(params, xs, h):
        m_a, m_w = params.m.swapaxes(1, 2)
        a = (1 - beta) * (m_a + m_a.T) + beta * (m_a - m_a.T) - gamma * np.eye(len(h))
        w = (1 - beta) * (m_w + m_w.T) + beta * (m_w - m_w.T) - gamma * np.eye(len(h))
        hs = []
        for x in xs:
            h = h + epsilon * (a @ h + np.tanh(w @ h + params.w_i.T @ x + params.b))
            hs.append(h)
        return h, np.stack(hs)

    return run_sequence


def lem(dt):
    """Rusch et al. 2022 (arXiv:2110.04744), eq. 3."""

    def run_sequence(params, xs, state):
        y, z = state
        v_1, v_2, v_z, v_y = np.split(params.w_i.T, 4)
        w_1, w_2, w_z = np.split(params.w_y.T, 3)
        b_1, b_2, b_z, b_y = np.split(params.b, 4)
        ys = []
        for u in xs:
            z_step = dt * sigmoid(w_1 @ y + v_1 @ u + b_1)
            y_step = dt * sigmoid(w_2 @ y + v_2 @ u + b_2)
            z = (1 - z_step) * z + z_step * np.tanh(w_z @ y + v_z @ u + b_z)
            y = (1 - y_step) * y + y_step * np.tanh(params.w_z.T @ z + v_y @ u + b_y)
            ys.append(y)
        return (y, z), np.stack(ys)

    return run_sequence


# By name: the cell, and the function (params, xs, state) -> (final state, ys).
ORACLES = {
    "antisymmetric_rnn": (AntisymmetricRNN(3, 4), antisymmetric(0.01, 0.01, gated=False)),
    "antisymmetric_rnn, large step": (AntisymmetricRNN(3, 4, 1.0, 0.1), antisymmetric(1.0, 0.1, gated=False)),
    "gated_antisymmetric_rnn": (GatedAntisymmetricRNN(3, 4, 1.0, 0.1), antisymmetric(1.0, 0.1, gated=True)),
    "exp_rnn": (ExpRNN(3, 4), exp_rnn),
    "lipschitz_rnn": (LipschitzRNN(3, 4), lipschitz(0.03, 0.75, 0.001)),
    "lipschitz_rnn, large step": (LipschitzRNN(3, 4, 1.0, 0.8, 0.1), lipschitz(1.0, 0.8, 0.1)),
    "lem": (LEM(3, 4), lem(1.0)),
    "lem, small step": (LEM(3, 4, dt=0.25), lem(0.25)),
}
