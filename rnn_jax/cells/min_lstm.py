"""Minimal LSTM, Feng et al. 2024 (arXiv:2410.01201), section 3.2 and, for positive states, appendix B.

f_t = sigmoid(x_t W_f + b_f)              forget gate
i_t = sigmoid(x_t W_i + b_i)              input gate
n_t = g(x_t W_n + b_n)                    candidate, g(x) = x + 0.5 for x >= 0, else sigmoid(x)
f'_t = f_t / (f_t + i_t),  i'_t = i_t / (f_t + i_t)
h_t = f'_t * h_{t-1} + i'_t * n_t

No gate reads the state, so the recurrence is linear in it and the gates of all steps are computed at once.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import LinearCell
from rnn_jax.cells.min_gru import positive
from rnn_jax.cells.projection import affine
from rnn_jax.linear import Diagonal, Transition


class MinLSTMParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 3H], gates f i n
    b: jax.Array  # [3H]


@dataclasses.dataclass(frozen=True)
class MinLSTM(LinearCell):
    """minLSTM in the paper's log-space form: candidates are positive, and so are states that start positive.

    The gates are normalised by their logarithms, f' = sigmoid(log f - log i): the ratio is right even if both gates are
    so far closed that they are zero in floating point. Solution and initial state are as in `MinGRU`. The state and the
    output are h [*batch, H]. Claimed: selective copying of 4,096 steps, 96.0 % with three layers (table 1, as
    quoted by others).

    >>> cell = MinLSTM(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      forget_bias: initial b_f. A number, or `Chrono(max_lag)`, which draws b_f and sets b_i = -b_f (Tallec &
        Ollivier 2018).
      input_init: initialiser of each gate's block [D, H] of w_i.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    forget_bias: float | initializers.Chrono = initializers.init_only(0.0)
    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())

    def init(self, key: jax.Array) -> MinLSTMParams:
        key_i, key_b = jax.random.split(key)
        zeros = jnp.zeros(self.hidden_size)
        if isinstance(self.forget_bias, initializers.Chrono):
            b_f = self.forget_bias(key_b, (self.hidden_size,))
            b_i = -b_f
        else:
            b_f, b_i = jnp.full_like(zeros, self.forget_bias), zeros
        w_i = initializers.stack_gates(self.input_init, key_i, 3, (self.input_size, self.hidden_size))
        return MinLSTMParams(w_i, jnp.concatenate([b_f, b_i, zeros]))

    def initial_state(self, params: MinLSTMParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def project(self, params: MinLSTMParams, x: jax.Array) -> tuple[Diagonal, jax.Array]:
        f, i, n = jnp.split(affine(x, params.w_i, params.b), 3, axis=-1)
        ratio = jax.nn.log_sigmoid(f) - jax.nn.log_sigmoid(i)
        return Diagonal(jax.nn.sigmoid(ratio)), jax.nn.sigmoid(-ratio) * positive(n)

    def linear(self, params: MinLSTMParams, drive: tuple[Diagonal, jax.Array]) -> tuple[Transition, jax.Array]:
        del params
        return drive
