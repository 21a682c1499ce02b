"""Leaky units, the continuous-time recurrent network by Euler steps: Mozer 1992, "Induction of multiscale temporal
structure"; Funahashi & Nakamura 1993; Tallec & Ollivier 2018 (arXiv:1804.11188), eq. 5, with a learned rate.

    h_t = (1 - alpha) * h_{t-1} + alpha * act(x_t W_i + h_{t-1} W_h + b),      alpha = sigmoid(a)

It is tau dh/dt = -h + act(...) with alpha = dt / tau: a unit forgets over about 1 / alpha steps.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import SplitCell
from rnn_jax.cells.projection import affine, over_batch


class LeakyParams(NamedTuple):
    """Weights [in, out]; one rate for each unit."""

    w_i: jax.Array  # [D, H]
    w_h: jax.Array  # [H, H]
    b: jax.Array  # [H]
    a: jax.Array  # [H], log(alpha / (1 - alpha))


@dataclasses.dataclass(frozen=True)
class LeakyRNN(SplitCell):
    """CT-RNN with a learned rate for each unit; the state and the output are h [*batch, H].

    Mozer's rates are constants that differ between units, Funahashi & Nakamura have one time constant; Tallec and
    Ollivier learn one alpha for all units. Claimed: invariance to a uniform change of speed (there, section 1).

    >>> cell = LeakyRNN(input_size=2, hidden_size=3, update_bias=initializers.Chrono(max_lag=100))
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      activation: any pointwise function; give a named function, as a cell is compared by value.
      update_bias: initial a. A number, or `Chrono(max_lag)`, which draws -a, so that memories cover max_lag steps.
      recurrent_init: initialiser of w_h.
      input_init: initialiser of w_i.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    activation: Callable[[jax.Array], jax.Array] = jnp.tanh
    update_bias: float | initializers.Chrono = initializers.init_only(0.0)
    recurrent_init: initializers.Initializer = initializers.init_only(initializers.Orthogonal())
    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())

    def init(self, key: jax.Array) -> LeakyParams:
        key_i, key_h, key_a = jax.random.split(key, 3)
        b = jnp.zeros(self.hidden_size)
        if isinstance(self.update_bias, initializers.Chrono):
            a = -self.update_bias(key_a, (self.hidden_size,))
        else:
            a = jnp.full_like(b, self.update_bias)
        return LeakyParams(
            w_i=self.input_init(key_i, (self.input_size, self.hidden_size)),
            w_h=self.recurrent_init(key_h, (self.hidden_size, self.hidden_size)),
            b=b,
            a=a,
        )

    def initial_state(self, params: LeakyParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def project(self, params: LeakyParams, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def recurrent(self, params: LeakyParams, state: jax.Array) -> jax.Array:
        return state @ params.w_h

    def activate(self, params: LeakyParams, state: jax.Array, drive: jax.Array, r: jax.Array) -> jax.Array:
        alpha = jax.nn.sigmoid(over_batch(params.a, state.ndim))
        return (1 - alpha) * state + alpha * self.activation(drive + r)
