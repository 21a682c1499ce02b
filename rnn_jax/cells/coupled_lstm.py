"""LSTM with coupled input and forget gates (CIFG): Greff et al. 2017 (arXiv:1503.04069), section IV-A.

f_t = sigmoid(x_t W_if + h_{t-1} W_hf + b_f)      forget gate
g_t = tanh(x_t W_ig + h_{t-1} W_hg + b_g)         candidate
o_t = sigmoid(x_t W_io + h_{t-1} W_ho + b_o)      output gate
c_t = f_t * c_{t-1} + (1 - f_t) * g_t             the input gate is 1 - f_t
h_t = o_t * tanh(c_t)
"""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from rnn_jax.cells.lstm import LSTMParams, LSTMState, SplitLSTM


@dataclasses.dataclass(frozen=True)
class CoupledLSTM(SplitLSTM):
    """LSTM with i_t = 1 - f_t; the state is (h, c), the output h. A quarter fewer parameters.

    Gates are stacked in the order f, g, o: w_i [D, 3H], w_h [H, 3H], b [3H]. The paper keeps the input gate and sets
    f_t = 1 - i_t; as sigmoid(-z) = 1 - sigmoid(z) that is the same cell with that gate's weights negated. Arguments and
    errors are those of `LSTM`; `Chrono` needs no input bias here, as b_i = -b_f always holds.

    >>> CoupledLSTM(input_size=2, hidden_size=3).init(jax.random.key(0)).w_h.shape
    (3, 9)
    """

    gates: ClassVar[str] = "fgo"

    def init(self, key: jax.Array) -> LSTMParams:
        return LSTMParams(*self._init_gates(key, self.hidden_size))

    def activate(self, params: LSTMParams, state: LSTMState, drive: jax.Array, r: jax.Array) -> LSTMState:
        del params
        f, g, o = jnp.split(drive + r, 3, axis=-1)
        forget = jax.nn.sigmoid(f)
        c = forget * state.c + (1 - forget) * jnp.tanh(g)
        return LSTMState(h=jax.nn.sigmoid(o) * jnp.tanh(c), c=c)
