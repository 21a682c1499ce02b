"""Scalar LSTM (sLSTM) of xLSTM, Beck et al. 2024 (arXiv:2405.04517), eq. 8-17.

i_t = exp(x_t W_i + h_{t-1} R_i + b_i)            input gate
f_t = sigmoid(x_t W_f + h_{t-1} R_f + b_f)        forget gate
z_t = tanh(x_t W_z + h_{t-1} R_z + b_z)           candidate
o_t = sigmoid(x_t W_o + h_{t-1} R_o + b_o)        output gate
c_t = f_t * c_{t-1} + i_t * z_t                   cell state
n_t = f_t * n_{t-1} + i_t                         normaliser: c_t / n_t is a weighted mean of all z
h_t = o_t * c_t / n_t

An exponential gate overflows, so c_t and n_t are kept divided by exp(m_t), which h_t does not depend on:

m_t = max(log f_t + m_{t-1}, log i_t)             stabiliser
f'_t = exp(log f_t + m_{t-1} - m_t),  i'_t = exp(log i_t - m_t)      both at most 1, one of them 1
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import SplitCell
from rnn_jax.cells.projection import affine


class SLSTMParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 4H], gates i f z o
    w_h: jax.Array  # [heads, H / heads, 4H / heads], R: a block for each head
    b: jax.Array  # [4H]


class SLSTMState(NamedTuple):
    """Hidden state, and cell state and normaliser, both divided by exp(m)."""

    h: jax.Array  # [*batch, H]
    c: jax.Array  # [*batch, H]
    n: jax.Array  # [*batch, H]
    m: jax.Array  # [*batch, H]


@dataclasses.dataclass(frozen=True)
class SLSTM(SplitCell):
    """sLSTM; the state is (h, c, n, m), the output h [*batch, H].

    A unit reads the units of its head: R is block-diagonal. The paper's models have 4 heads. Its forget gate is a
    sigmoid or an exponential; here, as in the authors' code, a sigmoid. At the first step, where n_{t-1} is 0, m_t is
    log i_t, so n_t is at least 1 from then on. Initialisation is that of the authors' code: W of variance 2 / (5 D)
    (there block-diagonal, too), R and biases 0, but b_f from 5 to -7 over the units of a head. As c, n and m make sense
    together only, with n of at least 0, a `Zoneout` is for h alone (rates `SLSTMState(0.1, 0.0, 0.0, 0.0)`), and the
    initial state is not for `LearnedInitialState`: else |h| may exceed 1. The convolution, normalisation and
    projections of an xLSTM block are not part of the cell. Claimed: it learns to track a state, such as parity, which
    Transformers and state space models do not (section 4.1, figure 4).

    >>> cell = SLSTM(input_size=2, hidden_size=4, heads=2)
    >>> params = cell.init(jax.random.key(0))
    >>> state = cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2))))
    >>> state.h.shape
    (5, 4)

    Args:
      input_size: D.
      hidden_size: H.
      heads: number of heads, a divisor of H.

    Raises:
      ValueError: if a size or heads is not a positive integer, or heads does not divide hidden_size.
    """

    heads: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.divisor(self.heads, self.hidden_size, "SLSTM: heads", "hidden_size")

    def init(self, key: jax.Array) -> SLSTMParams:
        inputs, units, size = self.input_size, self.hidden_size, self.hidden_size // self.heads
        zeros = jnp.zeros(units)
        b_f = jnp.tile(5 - 12 * jnp.linspace(0, 1, size) ** 0.3, self.heads)
        return SLSTMParams(
            w_i=initializers.Normal((0.4 / inputs) ** 0.5)(key, (inputs, 4 * units)),
            w_h=jnp.zeros((self.heads, size, 4 * size)),
            b=jnp.concatenate([zeros, b_f, zeros, zeros]),
        )

    def initial_state(self, params: SLSTMParams, batch_shape: tuple[int, ...] = ()) -> SLSTMState:
        shape, dtype = (*batch_shape, self.hidden_size), params.b.dtype
        return SLSTMState(*(jnp.zeros(shape, dtype) for _ in SLSTMState._fields))

    def project(self, params: SLSTMParams, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def recurrent(self, params: SLSTMParams, state: SLSTMState) -> jax.Array:
        by_head = jnp.split(state.h, self.heads, axis=-1)
        # A product for each head: `Fused` has no batched one.
        gates = [jnp.split(h @ params.w_h[head], 4, axis=-1) for head, h in enumerate(by_head)]
        return jnp.concatenate([gate[g] for g in range(4) for gate in gates], axis=-1)

    def activate(self, params: SLSTMParams, state: SLSTMState, drive: jax.Array, r: jax.Array) -> SLSTMState:
        del params
        log_i, f, z, o = jnp.split(drive + r, 4, axis=-1)
        # Nothing is forgotten where nothing is stored, and f = 1: exp(log_f - m) might be infinite there, times 0.
        log_f = jnp.where(state.n == 0, log_i, jax.nn.log_sigmoid(f) + state.m)
        m = jnp.maximum(log_f, log_i)
        f, i = jnp.exp(log_f - m), jnp.exp(log_i - m)
        c = f * state.c + i * jnp.tanh(z)
        n = f * state.n + i
        return SLSTMState(h=jax.nn.sigmoid(o) * c / n, c=c, n=n, m=m)

    def output(self, params: SLSTMParams, state: SLSTMState, x: jax.Array) -> jax.Array:
        del params, x
        return state.h
