"""Long short-term memory with a forget gate: Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000.

i_t = sigmoid(x_t W_ii + h_{t-1} W_hi + b_i)      input gate
f_t = sigmoid(x_t W_if + h_{t-1} W_hf + b_f)      forget gate
g_t = tanh(x_t W_ig + h_{t-1} W_hg + b_g)         candidate
o_t = sigmoid(x_t W_io + h_{t-1} W_ho + b_o)      output gate
c_t = f_t * c_{t-1} + i_t * g_t
h_t = o_t * tanh(c_t)
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import Cell, SplitCell
from rnn_jax.cells.projection import affine


class LSTMParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 4H], gates i f g o
    w_h: jax.Array  # [H, 4H]
    b: jax.Array  # [4H]


class LSTMState(NamedTuple):
    """Hidden state h and cell state c."""

    h: jax.Array  # [*batch, H]
    c: jax.Array  # [*batch, H]


@dataclasses.dataclass(frozen=True)
class LSTMFamily(Cell):
    """The base of the LSTM and its variants: fields, initialisation of the gates, drive and state (h, c)."""

    forget_bias: float | initializers.Chrono = initializers.init_only(1.0)
    recurrent_init: initializers.Initializer = initializers.init_only(initializers.Orthogonal())
    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())

    gates: ClassVar[str] = "ifgo"  # order in w_i, w_h and b

    def _init_gates(self, key: jax.Array, recurrent_size: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Draws w_i [D, gates * H], w_h [recurrent_size, gates * H] and b [gates * H]."""
        key_i, key_h, key_b = jax.random.split(key, 3)
        count, hidden = len(self.gates), self.hidden_size
        biases = dict.fromkeys(self.gates, jnp.zeros(hidden))
        if isinstance(self.forget_bias, initializers.Chrono):
            biases["f"] = self.forget_bias(key_b, (hidden,))
            biases["i"] = -biases["f"]
        else:
            biases["f"] = jnp.full(hidden, self.forget_bias, biases["f"].dtype)
        return (
            initializers.stack_gates(self.input_init, key_i, count, (self.input_size, hidden)),
            initializers.stack_gates(self.recurrent_init, key_h, count, (recurrent_size, hidden)),
            jnp.concatenate([biases[gate] for gate in self.gates]),
        )

    def initial_state(self, params: Any, batch_shape: tuple[int, ...] = ()) -> LSTMState:
        shape, dtype = (*batch_shape, self.hidden_size), params.b.dtype
        return LSTMState(h=jnp.zeros(shape, dtype), c=jnp.zeros(shape, dtype))  # two buffers, which may be donated

    def project(self, params: Any, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def output(self, params: Any, state: LSTMState, x: jax.Array) -> jax.Array:
        del params, x
        return state.h


@dataclasses.dataclass(frozen=True)
class SplitLSTM(LSTMFamily, SplitCell):
    """The base of the variants whose only product with the state is h_{t-1} W_h."""

    def recurrent(self, params: Any, state: LSTMState) -> jax.Array:
        return state.h @ params.w_h


@dataclasses.dataclass(frozen=True)
class LSTM(SplitLSTM):
    """LSTM with gates stacked in the order i, f, g, o; the state is (h, c), the output h.

    Differences between libraries: PyTorch, Keras and Flax stack i, f, g, o as here, Haiku i, g, f, o. PyTorch's forget
    bias starts at 0 in the mean (two uniform biases), Flax's at 0, Keras' at 1, Haiku adds 1 inside the sigmoid.

    >>> cell = LSTM(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> state = cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2))))
    >>> state.h.shape, state.c.shape
    ((5, 3), (5, 3))

    Args:
      input_size: D.
      hidden_size: H.
      forget_bias: initial b_f. A number (Jozefowicz et al. 2015 recommend 1), or `Chrono(max_lag)`, which draws b_f
        and sets b_i = -b_f (Tallec & Ollivier 2018).
      recurrent_init: initialiser of each gate's block [H, H] of w_h.
      input_init: initialiser of each gate's block [D, H] of w_i.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    def init(self, key: jax.Array) -> LSTMParams:
        return LSTMParams(*self._init_gates(key, self.hidden_size))

    def activate(self, params: LSTMParams, state: LSTMState, drive: jax.Array, r: jax.Array) -> LSTMState:
        del params
        i, f, g, o = jnp.split(drive + r, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return LSTMState(h=jax.nn.sigmoid(o) * jnp.tanh(c), c=c)
