"""Constrained and continuous-time cells in NumPy, from the papers' equations.

One sequence, column notation; the stored weights are [in, out].
"""

import numpy as np
import scipy.linalg
import scipy.signal

from rnn_jax import (
    LEM,
    LMU,
    AntisymmetricRNN,
    CfC,
    ClockworkRNN,
    ExpRNN,
    GatedAntisymmetricRNN,
    LeakyRNN,
    LipschitzRNN,
    UnICORNN,
)


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


def leaky_rnn(params, xs, h):
    """Tallec & Ollivier 2018 (arXiv:1804.11188), eq. 6, with a rate for each unit."""
    alpha = sigmoid(params.a)
    hs = []
    for x in xs:
        h = alpha * np.tanh(params.w_i.T @ x + params.w_h.T @ h + params.b) + (1 - alpha) * h
        hs.append(h)
    return h, np.stack(hs)


def unicornn(dt, alpha):
    """Rusch & Mishra 2021 (arXiv:2103.05487), eq. 4: z first, then y with the new z; oscillator by oscillator."""

    def run_sequence(params, xs, state):
        y, z = (leaf.copy() for leaf in state)
        ys = []
        for u in xs:
            for i in range(len(y)):
                step = dt * sigmoid(params.c[i])
                z[i] -= step * (np.tanh(params.w[i] * y[i] + params.w_i[:, i] @ u + params.b[i]) + alpha * y[i])
                y[i] += step * z[i]
            ys.append(y.copy())
        return (y, z), np.stack(ys)

    return run_sequence


def clockwork_rnn(periods):
    """Koutnik et al. 2014 (arXiv:1402.3511), eq. 1 to 3, module by module: i runs, and reads modules j >= i."""

    def run_sequence(params, xs, state):
        h, t = state
        t, size = int(t[0]), len(h) // len(periods)
        hs = []
        for x in xs:
            h_tm1, h = h, h.copy()
            for i, period in enumerate(periods):
                if t % period == 0:
                    rows, slower = slice(i * size, (i + 1) * size), slice(i * size, None)
                    net = params.w_h[slower, rows].T @ h_tm1[slower] + params.w_i[:, rows].T @ x + params.b[rows]
                    h[rows] = np.tanh(net)
            hs.append(h)
            t += 1
        return (h, np.array([t])), np.stack(hs)

    return run_sequence


def lmu(order, theta):
    """Voelker et al. 2019, eq. 1, 2 and 4 to 7; the zero-order hold by SciPy."""
    a = np.array([
        [(2 * i + 1) * (-1.0 if i < j else (-1.0) ** (i - j + 1)) for j in range(order)] for i in range(order)
    ])  # fmt: skip
    b = np.array([[(2 * i + 1) * (-1.0) ** i] for i in range(order)])
    system = a / theta, b / theta, np.eye(order), np.zeros((order, 1))
    a_bar, b_bar, *_ = scipy.signal.cont2discrete(system, dt=1.0, method="zoh")

    def run_sequence(params, xs, state):
        h, m = state
        e_x, e_h, e_m = np.split(params.e, [xs.shape[1], xs.shape[1] + len(h)])
        hs = []
        for x in xs:
            u = e_x @ x + e_h @ h + e_m @ m
            m = a_bar @ m + b_bar[:, 0] * u
            h = np.tanh(params.w_i.T @ x + params.w_h.T @ h + params.w_m.T @ m)
            hs.append(h)
        return (h, m), np.stack(hs)

    return run_sequence


def cfc(dt):
    """Hasani et al. 2022 (arXiv:2106.13898), eq. 10, with a backbone of one layer of LeCun's tanh."""

    def run_sequence(params, xs, h):
        (w_f, w_g, w_h), (b_f, b_g, b_h) = np.split(params.w_u.T, 3), np.split(params.b_u, 3)
        hs = []
        for x in xs:
            shared = 1.7159 * np.tanh(0.666 * (params.w_i.T @ x + params.w_h.T @ h + params.b))
            gate = sigmoid(-(w_f @ shared + b_f) * dt)
            h = gate * np.tanh(w_g @ shared + b_g) + (1 - gate) * np.tanh(w_h @ shared + b_h)
            hs.append(h)
        return h, np.stack(hs)

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
    "leaky_rnn": (LeakyRNN(3, 4), leaky_rnn),
    "unicornn": (UnICORNN(3, 4), unicornn(0.19, 30.65)),
    "unicornn, soft": (UnICORNN(3, 4, dt=0.5, alpha=1.5), unicornn(0.5, 1.5)),
    "clockwork_rnn": (ClockworkRNN(3, 4), clockwork_rnn((1, 2, 4, 8))),
    "clockwork_rnn, two modules": (ClockworkRNN(3, 4, periods=(2, 3)), clockwork_rnn((2, 3))),
    "lmu": (LMU(3, 4, order=5, theta=7.0), lmu(5, 7.0)),
    "cfc": (CfC(3, 4, backbone_size=5), cfc(1.0)),
    "cfc, short step": (CfC(3, 4, backbone_size=5, dt=0.3), cfc(0.3)),
}
