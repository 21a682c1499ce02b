"""LSTM with matrix memory (mLSTM, of xLSTM), Beck et al. 2024 (arXiv:2405.04517), section 2.3, eq. 19-27.

i_t = exp(x_t w_i + b_i)                             input gate, one for each head
f_t = sigmoid(x_t w_f + b_f)                         forget gate, one for each head
k_t = (x_t W_k + b_k) / sqrt(K),  v_t = x_t W_v + b_v,  q_t = x_t W_q + b_q
C_t = f_t C_{t-1} + i_t v_t k_t^T                    memory
n_t = f_t n_{t-1} + i_t k_t                          normaliser
h_t = sigmoid(x_t W_o + b_o) * C_t q_t / max(|n_t q_t|, 1)

The paper computes C_t and n_t in units of e^m_t, with the stabiliser m_t = max(log f_t + m_{t-1}, log i_t): a state
whose recurrence is not linear. The units cancel out of h_t, and rounding does not depend on them, as floats are
scale-free. All that m_t prevents is an overflow of exp; here its exponents are cut at 40 for that, and what is left is
linear in the state.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cells.matrix_memory import MatrixMemory, merge, read, store
from rnn_jax.cells.projection import affine
from rnn_jax.linear import Diagonal, Transition

_LARGEST_EXPONENT = 40.0  # e^40 = 2e17; float32 holds 1e21 times as much


class MLSTMParams(NamedTuple):
    """Weights [in, out]; projections concatenated."""

    w_i: jax.Array  # [D, 2H + 2 heads], k v i f
    b: jax.Array  # [2H + 2 heads]
    w_o: jax.Array  # [D, 2H], q o
    b_o: jax.Array  # [2H]


class MLSTMState(NamedTuple):
    """Memory and normaliser of each head."""

    c: jax.Array  # [*batch, heads, V, K]
    n: jax.Array  # [*batch, heads, K]


class MLSTMDrive(NamedTuple):
    """What a step needs of an input."""

    input: jax.Array  # [*batch, heads]
    forget: jax.Array  # [*batch, heads]
    key: jax.Array  # [*batch, heads, K]
    value: jax.Array  # [*batch, heads, V]


@dataclasses.dataclass(frozen=True)
class MLSTM(MatrixMemory):
    """mLSTM; the state is (C, n), the output h [*batch, H].

    The paper leaves the forget gate open, sigmoid or exp; as in the authors' code it is the sigmoid. Their code also
    scales b_k, as here, normalises each head's output before the output gate, and has short convolutions before keys
    and queries, which are no part of the equations; its gates read (q, k, v), here x_t, as in the equations. The gates'
    initial values are the code's: weights 0, b_f from 3 to 6 over the heads, b_i ~ N(0, 0.1^2). Claimed (section 4.1):
    associative recall of up to 256 pairs, for blocks of mLSTM and sLSTM best of all but Transformers (figure 5); mLSTM
    alone does not learn parity, sLSTM does (figure 4).

    >>> cell = MLSTM(input_size=2, hidden_size=6, heads=2)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.initial_state(params, (5,)).c.shape
    (5, 2, 3, 3)

    Args:
      input_size: D.
      hidden_size: H.
      heads: number of memories; a divisor of H.
      input_init: initialiser of the blocks of keys and values in w_i, and of each block of w_o.

    Raises:
      ValueError: if a size is not a positive integer, or heads does not divide hidden_size.
    """

    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())

    def init(self, key: jax.Array) -> MLSTMParams:
        key_kv, key_qo, key_b = jax.random.split(key, 3)
        shape = (self.input_size, self.hidden_size)
        gates = jnp.zeros((self.input_size, 2 * self.heads))
        b_i, b_f = 0.1 * jax.random.normal(key_b, (self.heads,)), jnp.linspace(3.0, 6.0, self.heads)
        return MLSTMParams(
            w_i=jnp.concatenate([initializers.stack_gates(self.input_init, key_kv, 2, shape), gates], axis=1),
            b=jnp.concatenate([jnp.zeros(2 * self.hidden_size), b_i, b_f]),
            w_o=initializers.stack_gates(self.input_init, key_qo, 2, shape),
            b_o=jnp.zeros(2 * self.hidden_size),
        )

    def initial_state(self, params: MLSTMParams, batch_shape: tuple[int, ...] = ()) -> MLSTMState:
        c = super().initial_state(params, batch_shape)
        return MLSTMState(c, jnp.zeros(c.shape[:-1], c.dtype))

    def project(self, params: MLSTMParams, x: jax.Array) -> MLSTMDrive:
        units = self.hidden_size
        sums = affine(x, params.w_i, params.b)
        key, value, i, f = jnp.split(sums, [units, 2 * units, 2 * units + self.heads], axis=-1)
        return MLSTMDrive(
            input=jnp.exp(jnp.minimum(i, _LARGEST_EXPONENT)),
            forget=jax.nn.sigmoid(f),
            key=self.by_head(key) * self.head_size**-0.5,
            value=self.by_head(value),
        )

    def linear(self, params: MLSTMParams, drive: MLSTMDrive) -> tuple[Transition, MLSTMState]:
        del params
        key = drive.input[..., None] * drive.key
        forget = MLSTMState(drive.forget[..., None, None], drive.forget[..., None])
        return Diagonal(forget), MLSTMState(store(key, drive.value), key)

    def output(self, params: MLSTMParams, state: MLSTMState, x: jax.Array) -> jax.Array:
        query, gate = jnp.split(affine(x, params.w_o, params.b_o), 2, axis=-1)
        query = self.by_head(query)
        weight = jnp.abs(jnp.sum(state.n * query, axis=-1, keepdims=True))
        return jax.nn.sigmoid(gate) * merge(read(state.c, query) / jnp.maximum(weight, 1))
