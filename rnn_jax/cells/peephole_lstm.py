"""LSTM whose gates read the cell state: Gers & Schmidhuber 2000; Graves 2013 (arXiv:1308.0850), eq. 7-11.

i_t = sigmoid(x_t W_ii + h_{t-1} W_hi + p_i * c_{t-1} + b_i)      input gate
f_t = sigmoid(x_t W_if + h_{t-1} W_hf + p_f * c_{t-1} + b_f)      forget gate
g_t = tanh(x_t W_ig + h_{t-1} W_hg + b_g)                         candidate
c_t = f_t * c_{t-1} + i_t * g_t
o_t = sigmoid(x_t W_io + h_{t-1} W_ho + p_o * c_t + b_o)          output gate: reads the new cell state
h_t = o_t * tanh(c_t)
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.cells.lstm import LSTMState, SplitLSTM
from rnn_jax.cells.projection import over_batch


class PeepholeLSTMParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 4H], gates i f g o
    w_h: jax.Array  # [H, 4H]
    b: jax.Array  # [4H]
    p: jax.Array  # [3H], peepholes of i f o: diagonal, as in both papers


@dataclasses.dataclass(frozen=True)
class PeepholeLSTM(SplitLSTM):
    """LSTM with peepholes; the state is (h, c), the output h. Peepholes start at zero, so it starts as an `LSTM`.

    Gate order, arguments and errors are those of `LSTM`. PyTorch, Keras, Flax and Haiku have no such cell.

    >>> PeepholeLSTM(input_size=2, hidden_size=3).init(jax.random.key(0)).p.shape
    (9,)
    """

    def init(self, key: jax.Array) -> PeepholeLSTMParams:
        w_i, w_h, b = self._init_gates(key, self.hidden_size)
        return PeepholeLSTMParams(w_i, w_h, b, jnp.zeros(3 * self.hidden_size))

    def activate(self, params: PeepholeLSTMParams, state: LSTMState, drive: jax.Array, r: jax.Array) -> LSTMState:
        i, f, g, o = jnp.split(drive + r, 4, axis=-1)
        p_i, p_f, p_o = jnp.split(over_batch(params.p, r.ndim), 3, axis=-1)
        forget, enter = jax.nn.sigmoid(f + p_f * state.c), jax.nn.sigmoid(i + p_i * state.c)
        c = forget * state.c + enter * jnp.tanh(g)
        return LSTMState(h=jax.nn.sigmoid(o + p_o * c) * jnp.tanh(c), c=c)
