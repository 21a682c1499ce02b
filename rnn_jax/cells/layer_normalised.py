"""LSTM and GRU with layer normalisation inside: Ba, Kiros & Hinton 2016 (arXiv:1607.06450), supplement.

LN(z; gain) = gain * (z - mean(z)) / sqrt(var(z) + 1e-5), over the features of one step of one sequence

The input's and the recurrence's sums are normalised separately, each over all gates that share it, as in the paper and
its authors' code (TensorFlow's LayerNormBasicLSTMCell normalises each gate alone). The paper's shifts add up to one
bias b.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.cell import SplitCell
from rnn_jax.cells.gru import GRUFamily
from rnn_jax.cells.lstm import LSTMState, SplitLSTM
from rnn_jax.cells.projection import over_batch

EPSILON = 1e-5


class LayerNormLSTMParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 4H], gates i f g o
    w_h: jax.Array  # [H, 4H]
    b: jax.Array  # [4H]
    gain_i: jax.Array  # [4H], of the input's sums
    gain_h: jax.Array  # [4H], of the recurrence's sums
    gain_c: jax.Array  # [H], of the cell state
    b_c: jax.Array  # [H]


class LayerNormGRUParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 3H], gates r z n
    w_h: jax.Array  # [H, 3H]
    b: jax.Array  # [3H]
    b_hn: jax.Array  # [H], inside the reset product
    gain_i: jax.Array  # [3H]
    gain_h: jax.Array  # [3H]


@dataclasses.dataclass(frozen=True)
class LayerNormLSTM(SplitLSTM):
    """LSTM with normalised gates and cell state; the state is (h, c), the output h.

        i_t, f_t, g_t, o_t = LN(x_t W_i; gain_i) + LN(h_{t-1} W_h; gain_h) + b
        c_t = sigmoid(f_t) * c_{t-1} + sigmoid(i_t) * tanh(g_t)
        h_t = sigmoid(o_t) * tanh(LN(c_t; gain_c) + b_c)

    Gains start at 1. Gate order, arguments and errors are those of `LSTM`.

    >>> cell = LayerNormLSTM(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params), cell.project(params, jnp.ones(2))).h.shape
    (3,)
    """

    def init(self, key: jax.Array) -> LayerNormLSTMParams:
        w_i, w_h, b = self._init_gates(key, self.hidden_size)
        ones, zeros = jnp.ones(self.hidden_size), jnp.zeros(self.hidden_size)
        return LayerNormLSTMParams(w_i, w_h, b, jnp.tile(ones, 4), jnp.tile(ones, 4), ones, zeros)

    def project(self, params: LayerNormLSTMParams, x: jax.Array) -> jax.Array:
        return layer_norm(x @ params.w_i, params.gain_i) + over_batch(params.b, x.ndim)

    def activate(self, params: LayerNormLSTMParams, state: LSTMState, drive: jax.Array, r: jax.Array) -> LSTMState:
        i, f, g, o = jnp.split(drive + layer_norm(r, params.gain_h), 4, axis=-1)
        c = jax.nn.sigmoid(f) * state.c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return LSTMState(
            h=jax.nn.sigmoid(o) * jnp.tanh(layer_norm(c, params.gain_c) + over_batch(params.b_c, c.ndim)), c=c
        )


@dataclasses.dataclass(frozen=True)
class LayerNormGRU(GRUFamily, SplitCell):
    """GRU with normalised gates, its reset after the product; the state and the output are h.

        r_t, z_t = sigmoid(LN(x_t W_i,rz; gain_i) + LN(h_{t-1} W_h,rz; gain_h) + b_rz)
        n_t = tanh(LN(x_t W_in; gain_i) + b_n + r_t * (LN(h_{t-1} W_hn; gain_h) + b_hn))
        h_t = z_t * h_{t-1} + (1 - z_t) * n_t

    r and z are normalised together, n alone, as in the paper. Gains start at 1. Gate order, arguments and errors are
    those of `GRU` (the paper's z is the share replaced).
    """

    def init(self, key: jax.Array) -> LayerNormGRUParams:
        sums = 3 * self.hidden_size
        return LayerNormGRUParams(
            *self._init_gates(key), b_hn=jnp.zeros(self.hidden_size), gain_i=jnp.ones(sums), gain_h=jnp.ones(sums)
        )

    def project(self, params: LayerNormGRUParams, x: jax.Array) -> jax.Array:
        return self._norm_gates(x @ params.w_i, params.gain_i) + over_batch(params.b, x.ndim)

    def recurrent(self, params: LayerNormGRUParams, state: jax.Array) -> jax.Array:
        return state @ params.w_h

    def activate(self, params: LayerNormGRUParams, state: jax.Array, drive: jax.Array, r: jax.Array) -> jax.Array:
        d_rz, d_n = jnp.split(drive, [2 * self.hidden_size], axis=-1)
        r_rz, r_n = jnp.split(self._norm_gates(r, params.gain_h), [2 * self.hidden_size], axis=-1)
        reset, z = jnp.split(jax.nn.sigmoid(d_rz + r_rz), 2, axis=-1)
        n = jnp.tanh(d_n + reset * (r_n + over_batch(params.b_hn, r.ndim)))
        return z * state + (1 - z) * n

    def _norm_gates(self, sums: jax.Array, gain: jax.Array) -> jax.Array:
        rz = [2 * self.hidden_size]
        parts = zip(jnp.split(sums, rz, axis=-1), jnp.split(gain, rz), strict=True)
        return jnp.concatenate([layer_norm(s, g) for s, g in parts], axis=-1)


def layer_norm(z: jax.Array, gain: jax.Array) -> jax.Array:
    """Returns LN(z; gain) over the last axis."""
    # The two-pass variance: the mean of squares minus the square of the mean cancels in float32.
    variance = jnp.var(z, axis=-1, keepdims=True)
    return over_batch(gain, z.ndim) * jax.nn.standardize(z, axis=-1, variance=variance, epsilon=EPSILON)
