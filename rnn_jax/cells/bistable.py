"""Bistable recurrent cells (BRC, nBRC), Vecoven, Ernst & Drion 2021 (arXiv:2006.05252).

a_t = 1 + tanh(x_t W_a + [h_{t-1}]_a + b_a)                     feedback: from 0 to 2, bistable above 1
c_t = sigmoid(x_t W_c + [h_{t-1}]_c + b_c)                      update gate: the share of h_{t-1} that is kept
h_t = c_t * h_{t-1} + (1 - c_t) * tanh(x_t W_h + a_t * h_{t-1})

[h]_g is v_g * h for the BRC, whose units read themselves alone, and h U_g for the neuromodulated nBRC. For a_t > 1 a
unit has two stable states, so that it holds a bit without loss; it is the network that decides by a_t when.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import SplitCell
from rnn_jax.cells.projection import affine, over_batch


class BRCParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 3H], a c h
    v: jax.Array  # [2H], a c
    b: jax.Array  # [2H], a c


class NBRCParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 3H], a c h
    w_h: jax.Array  # [H, 2H], a c
    b: jax.Array  # [2H], a c


@dataclasses.dataclass(frozen=True)
class Bistable(SplitCell):
    """The base of both: weights of the input, drive, state h [*batch, H] and step."""

    input_init: initializers.Initializer = initializers.init_only(initializers.XavierUniform())

    def _init_inputs(self, key: jax.Array) -> jax.Array:
        return initializers.stack_gates(self.input_init, key, 3, (self.input_size, self.hidden_size))

    def initial_state(self, params: Any, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def project(self, params: Any, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, jnp.concatenate([params.b, jnp.zeros(self.hidden_size, params.b.dtype)]))

    def activate(self, params: Any, state: jax.Array, drive: jax.Array, r: jax.Array) -> jax.Array:
        del params
        gates, d_h = jnp.split(drive, [2 * self.hidden_size], axis=-1)
        a, c = jnp.split(gates + r, 2, axis=-1)
        c = jax.nn.sigmoid(c)
        return c * state + (1 - c) * jnp.tanh(d_h + (1 + jnp.tanh(a)) * state)


@dataclasses.dataclass(frozen=True)
class BRC(Bistable):
    """Bistable recurrent cell; the state and the output are h [*batch, H].

    The paper's equations have no biases; b_a and b_c, zero at first, are those of the authors' code, as is the
    initialisation: Xavier uniform weights, v = 1. Claimed: much better than other cells where memory must be very
    long, without connections between units (abstract). The code's benchmark of the first input has lags up to 600.

    >>> cell = BRC(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      input_init: initialiser of each gate's block [D, H] of w_i.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    def init(self, key: jax.Array) -> BRCParams:
        return BRCParams(self._init_inputs(key), v=jnp.ones(2 * self.hidden_size), b=jnp.zeros(2 * self.hidden_size))

    def recurrent(self, params: BRCParams, state: jax.Array) -> jax.Array:
        return jnp.concatenate([state, state], axis=-1) * over_batch(params.v, state.ndim)


@dataclasses.dataclass(frozen=True)
class NBRC(Bistable):
    """Neuromodulated bistable recurrent cell (nBRC); the state and the output are h [*batch, H].

    Other units set a unit's feedback a and gate c, as in a GRU, which it is for a <= 1. Biases, initialisation, claims,
    arguments and errors are those of `BRC`.

    >>> NBRC(input_size=2, hidden_size=3).init(jax.random.key(0)).w_h.shape
    (3, 6)

    Args:
      input_size: D.
      hidden_size: H.
      input_init: initialiser of each gate's block [D, H] of w_i.
      recurrent_init: initialiser of each gate's block [H, H] of w_h.
    """

    recurrent_init: initializers.Initializer = initializers.init_only(initializers.XavierUniform())

    def init(self, key: jax.Array) -> NBRCParams:
        key_i, key_h = jax.random.split(key)
        w_h = initializers.stack_gates(self.recurrent_init, key_h, 2, (self.hidden_size, self.hidden_size))
        return NBRCParams(self._init_inputs(key_i), w_h, b=jnp.zeros(2 * self.hidden_size))

    def recurrent(self, params: NBRCParams, state: jax.Array) -> jax.Array:
        return state @ params.w_h
