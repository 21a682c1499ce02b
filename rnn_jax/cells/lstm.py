"""Long short-term memory with a forget gate: Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000.

i_t = sigmoid(x_t W_ii + h_{t-1} W_hi + b_i)      input gate
f_t = sigmoid(x_t W_if + h_{t-1} W_hf + b_f)      forget gate
g_t = tanh(x_t W_ig + h_{t-1} W_hg + b_g)         candidate
o_t = sigmoid(x_t W_io + h_{t-1} W_ho + b_o)      output gate
c_t = f_t * c_{t-1} + i_t * g_t
h_t = o_t * tanh(c_t)
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import Cell
from rnn_jax.cells.affine import affine


class LSTMParams(NamedTuple):
    """Weights [in, out]; gates side by side."""

    w_i: jax.Array  # [D, 4H], gates i f g o
    w_h: jax.Array  # [H, 4H]
    b: jax.Array  # [4H]


class LSTMState(NamedTuple):
    """Hidden state h and cell state c."""

    h: jax.Array  # [*batch, H]
    c: jax.Array  # [*batch, H]


@dataclasses.dataclass(frozen=True)
class LSTM(Cell):
    """LSTM with gates stacked in the order i, f, g, o; the state is (h, c), the output h.

    Differences between libraries: PyTorch, Keras and Flax stack i, f, g, o as here, Haiku i, g, f, o. PyTorch's forget
    bias starts at 0 in the mean (two uniform biases), Flax's at 0, Keras' at 1, Haiku adds 1 inside the sigmoid.

    Args:
      input_size: D.
      hidden_size: H.
      forget_bias: b_f at the start. A number (Jozefowicz et al. 2015 found 1 to be good), or `Chrono(max_lag)`, which
        draws b_f and sets b_i = -b_f (Tallec & Ollivier 2018).
      recurrent_init: draws each gate's block [H, H] of w_h.
      input_init: draws each gate's block [D, H] of w_i.

    Raises:
      ValueError: where a size is not a positive integer.
    """

    forget_bias: float | initializers.Chrono = initializers.init_only(1.0)
    recurrent_init: initializers.Initializer = initializers.init_only(initializers.Orthogonal())
    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())

    def init(self, key: jax.Array) -> LSTMParams:
        key_i, key_h, key_b = jax.random.split(key, 3)
        zeros = jnp.zeros(self.hidden_size)
        if isinstance(self.forget_bias, initializers.Chrono):
            b_f = self.forget_bias(key_b, (self.hidden_size,))
            b_i = -b_f
        else:
            b_f, b_i = jnp.full_like(zeros, self.forget_bias), zeros
        return LSTMParams(
            w_i=initializers.stack_gates(self.input_init, key_i, 4, (self.input_size, self.hidden_size)),
            w_h=initializers.stack_gates(self.recurrent_init, key_h, 4, (self.hidden_size, self.hidden_size)),
            b=jnp.concatenate([b_i, b_f, zeros, zeros]),
        )

    def initial_state(self, params: LSTMParams, batch_shape: tuple[int, ...] = ()) -> LSTMState:
        zeros = jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)
        return LSTMState(h=zeros, c=zeros)

    def project(self, params: LSTMParams, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def recurrent(self, params: LSTMParams, state: LSTMState) -> jax.Array:
        return state.h @ params.w_h

    def activate(self, params: LSTMParams, state: LSTMState, drive: jax.Array, r: jax.Array) -> LSTMState:
        del params
        i, f, g, o = jnp.split(drive + r, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return LSTMState(h=jax.nn.sigmoid(o) * jnp.tanh(c), c=c)

    def output(self, params: LSTMParams, state: LSTMState, x: jax.Array) -> jax.Array:
        del params, x
        return state.h
