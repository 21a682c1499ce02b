"""FastGRNN, Kusupati et al. 2018 (arXiv:1901.02358), section 3.2.

a_t = x_t W + h_{t-1} U
z_t = sigmoid(a_t + b_z)                 gate: the share of h_{t-1} that is kept
n_t = tanh(a_t + b_n)                    candidate
h_t = z_t * h_{t-1} + (sigmoid(zeta) (1 - z_t) + sigmoid(nu)) * n_t

Gate and candidate share one product, so the cell has the parameters of a simple RNN, H biases and two scalars more.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import SplitCell
from rnn_jax.cells.projection import over_batch


class FastGRNNParams(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, H], W
    w_h: jax.Array  # [H, H], U
    b_z: jax.Array  # [H]
    b_n: jax.Array  # [H]
    zeta: jax.Array  # [], before the sigmoid
    nu: jax.Array  # [], before the sigmoid


@dataclasses.dataclass(frozen=True)
class FastGRNN(SplitCell):
    """FastGRNN with full-rank matrices; the state and the output are h [*batch, H].

    The paper's zeta and nu are in [0, 1]; here, as in its code, the parameters are their logits. Initialisation is that
    of the code: N(0, 0.1^2) weights, biases 1, zeta 1, nu -4. Low-rank, sparse and quantised matrices, by which the
    paper gets models of a few kilobytes, are not part of the cell. Claimed: accuracy as other gated cells' with models
    2 to 4 times smaller, 35 times when compressed (abstract).

    >>> cell = FastGRNN(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      weight_init: initialiser of w_i and w_h.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    weight_init: initializers.Initializer = initializers.init_only(initializers.Normal(0.1))

    def init(self, key: jax.Array) -> FastGRNNParams:
        key_i, key_h = jax.random.split(key)
        return FastGRNNParams(
            w_i=self.weight_init(key_i, (self.input_size, self.hidden_size)),
            w_h=self.weight_init(key_h, (self.hidden_size, self.hidden_size)),
            b_z=jnp.ones(self.hidden_size),
            b_n=jnp.ones(self.hidden_size),
            zeta=jnp.full((), 1.0),
            nu=jnp.full((), -4.0),
        )

    def initial_state(self, params: FastGRNNParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b_z.dtype)

    def project(self, params: FastGRNNParams, x: jax.Array) -> jax.Array:
        return x @ params.w_i

    def recurrent(self, params: FastGRNNParams, state: jax.Array) -> jax.Array:
        return state @ params.w_h

    def activate(self, params: FastGRNNParams, state: jax.Array, drive: jax.Array, r: jax.Array) -> jax.Array:
        both = drive + r
        z = jax.nn.sigmoid(both + over_batch(params.b_z, both.ndim))
        n = jnp.tanh(both + over_batch(params.b_n, both.ndim))
        zeta, nu = jax.nn.sigmoid(params.zeta), jax.nn.sigmoid(params.nu)
        return z * state + (zeta * (1 - z) + nu) * n
