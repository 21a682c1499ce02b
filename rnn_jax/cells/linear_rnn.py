"""The linear recurrent network.

    h_t = x_t W_i + h_{t-1} W_h + b,      h_T = h_0 W_h^T + sum_k (x_{T-k} W_i + b) W_h^k

The Elman network without its nonlinearity: the eigenvalues of W_h alone decide what it remembers (Saxe et al. 2014,
arXiv:1312.6120; Orvieto et al. 2023, arXiv:2303.06349).
"""

import dataclasses

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import LinearCell
from rnn_jax.cells.projection import affine
from rnn_jax.cells.vanilla import VanillaParams
from rnn_jax.linear import Dense, Transition


@dataclasses.dataclass(frozen=True)
class LinearRNN(LinearCell):
    """h_t = x_t W_i + h_{t-1} W_h + b; the state and the output are h [*batch, H].

    >>> cell = LinearRNN(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      recurrent_init: initialiser of w_h.
      input_init: initialiser of w_i.

    Raises:
      ValueError: if a size is not a positive integer.
    """

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

    def linear(self, params: VanillaParams, drive: jax.Array) -> tuple[Transition, jax.Array]:
        return Dense(jnp.reshape(params.w_h, (1,) * (drive.ndim - 1) + params.w_h.shape)), drive
