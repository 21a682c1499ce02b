"""expRNN: an orthogonal recurrent matrix by the exponential map, Lezcano-Casado & Martinez-Rubio 2019
(arXiv:1901.08428).

h_t = modReLU(h_{t-1} exp(A) + x_t W; b),      A = -A^T,      modReLU(z; b) = sign(z) relu(|z| + b)

The exponential of a skew-symmetric matrix is orthogonal, with determinant 1, and every such matrix is one; so gradient
descent on A stays among them. modReLU is that of Arjovsky et al. 2016 (arXiv:1511.06464), for real numbers.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.cell import Params, SplitCell
from rnn_jax.cells.projection import over_batch
from rnn_jax.cells.skew import entries_above_diagonal, skew_symmetric


class ExpRNNParams(NamedTuple):
    """Weights [in, out]."""

    w_i: jax.Array  # [D, H]
    a: jax.Array  # [H (H - 1) / 2], entries of A above its diagonal, row by row
    b: jax.Array  # [H], of modReLU


class ExpRNNWeights(NamedTuple):
    """Prepared parameters."""

    w_i: jax.Array
    w_h: jax.Array  # [H, H], exp(A), orthogonal
    b: jax.Array


@dataclasses.dataclass(frozen=True)
class ExpRNN(SplitCell):
    """expRNN; the state and the output are h [*batch, H].

    Initially A has blocks [[0, s], [-s, 0]] on its diagonal with s ~ U(-pi, pi) (Henaff et al. 2016; the authors' code
    has it for copying, another one for MNIST), W ~ N(0, 2 / D), b ~ U(-0.01, 0.01). Their code trains A at a tenth of
    the learning rate, which is no part of the cell, and has the copying problem at T = 1,000 and 2,000 with 190 units.
    Claimed: sequential MNIST 98.7 %, permuted 96.6 % (as quoted by Gu et al. 2022, arXiv:2111.00396, table 12).

    >>> cell = ExpRNN(input_size=2, hidden_size=3)
    >>> w_h = cell.prepare(cell.init(jax.random.key(0))).w_h
    >>> bool(jnp.allclose(w_h @ w_h.T, jnp.eye(3), atol=1e-5))
    True

    Args:
      input_size: D.
      hidden_size: H.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    def init(self, key: jax.Array) -> ExpRNNParams:
        key_i, key_a, key_b = jax.random.split(key, 3)
        inputs, units = self.input_size, self.hidden_size
        angles = jax.random.uniform(key_a, (units // 2,), minval=-math.pi, maxval=math.pi)
        blocks = jnp.zeros((units, units)).at[jnp.arange(0, units - 1, 2), jnp.arange(1, units, 2)].set(angles)
        return ExpRNNParams(
            w_i=(2 / inputs) ** 0.5 * jax.random.normal(key_i, (inputs, units)),
            a=entries_above_diagonal(blocks),
            b=jax.random.uniform(key_b, (units,), minval=-0.01, maxval=0.01),
        )

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def prepare(self, params: Params) -> ExpRNNWeights:
        if isinstance(params, ExpRNNWeights):
            return params
        a = skew_symmetric(params.a, self.hidden_size)
        w_h = jax.scipy.linalg.expm(a.astype(jnp.promote_types(a.dtype, jnp.float32)))  # of no bfloat16
        return ExpRNNWeights(params.w_i, w_h.astype(a.dtype), params.b)

    def project(self, params: Params, x: jax.Array) -> jax.Array:
        return x @ params.w_i

    def recurrent(self, params: Params, state: jax.Array) -> jax.Array:
        return state @ self.prepare(params).w_h

    def activate(self, params: Params, state: jax.Array, drive: jax.Array, r: jax.Array) -> jax.Array:
        del state
        z = drive + r
        # Not jnp.sign, which Pallas lowers for a TPU only if there is one (jax 0.10.2).
        sign = (z > 0).astype(z.dtype) - (z < 0).astype(z.dtype)
        return sign * jax.nn.relu(sign * z + over_batch(params.b, z.ndim))
