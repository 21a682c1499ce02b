"""The vanilla (Elman) network, Elman 1990.

    h_t = act(x_t W_i + h_{t-1} W_h + b)

The same in column notation: h_t = act(W_i^T x_t + W_h^T h_{t-1} + b). Weights are stored [in, out].
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import SplitCell
from rnn_jax.cells.projection import affine


class VanillaParams(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, H]
    w_h: jax.Array  # [H, H]
    b: jax.Array  # [H]


@dataclasses.dataclass(frozen=True)
class VanillaRNN(SplitCell):
    """h_t = act(x_t W_i + h_{t-1} W_h + b); the state and the output are h [*batch, H].

    Differences between libraries: PyTorch has two biases and uniform(-1/sqrt(H), 1/sqrt(H)) everywhere
    (`initializers.Uniform()`), Keras an orthogonal W_h, as here. The IRNN of Le et al. 2015 is
    `VanillaRNN(D, H, jax.nn.relu, ScaledIdentity(), Normal(0.001))`.

    >>> cell = VanillaRNN(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> state = cell.initial_state(params, (5,))
    >>> cell.step(params, state, cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      activation: any pointwise function; give a named function, as a cell is compared by value.
      recurrent_init: initialiser of w_h.
      input_init: initialiser of w_i.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    activation: Callable[[jax.Array], jax.Array] = jnp.tanh
    recurrent_init: initializers.Initializer = initializers.init_only(initializers.Orthogonal())
    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())

    def init(self, key: jax.Array) -> VanillaParams:
        key_i, key_h = jax.random.split(key)
        return VanillaParams(
            w_i=self.input_init(key_i, (self.input_size, self.hidden_size)),
            w_h=self.recurrent_init(key_h, (self.hidden_size, self.hidden_size)),
            b=jnp.zeros(self.hidden_size),
        )

    def initial_state(self, params: VanillaParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def project(self, params: VanillaParams, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def recurrent(self, params: VanillaParams, state: jax.Array) -> jax.Array:
        return state @ params.w_h

    def activate(self, params: VanillaParams, state: jax.Array, drive: jax.Array, r: jax.Array) -> jax.Array:
        del params, state
        return self.activation(drive + r)
