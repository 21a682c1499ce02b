"""Real-gated linear recurrent unit (RG-LRU), De et al. 2024 (Griffin, arXiv:2402.19427), section 2.4 and appendix A.

u_t = x_t W_u + b_u                        input
r_t = sigmoid(x_t W_r + b_r)               recurrence gate
i_t = sigmoid(x_t W_i + b_i)               input gate
a_t = sigmoid(Lambda)^(8 r_t)              between sigmoid(Lambda)^8, which forgets, and 1, which keeps all
h_t = a_t * h_{t-1} + sqrt(1 - a_t^2) * (i_t * u_t)

No gate reads the state, so the recurrence is linear in it. The square root keeps the variance of h, whatever a_t is.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import LinearCell
from rnn_jax.cells.projection import affine, over_batch
from rnn_jax.linear import Diagonal, Transition

_C = 8.0  # the paper's exponent c


class RGLRUParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 3H], u r i
    b: jax.Array  # [3H]
    lambda_: jax.Array  # [H]


@dataclasses.dataclass(frozen=True)
class RGLRU(LinearCell):
    """RG-LRU; the state and the output are h [*batch, H].

    The paper's layer has as many units as inputs, u_t = x_t, and gates with block-diagonal matrices; here u_t is the
    linear layer that stands before it in the paper's block, and the gates read x_t. With W_u = I it is the paper's.
    Initially sigmoid(Lambda)^8 is uniform in [0.9, 0.999], as the paper has it (the authors' code draws sigmoid(Lambda)
    from a ring of these radii). The paper writes log a_t = -8 softplus(Lambda) r_t, which with a = sigmoid(Lambda) is
    softplus(-Lambda): another sign of Lambda. The authors' code does not scale the first input of a sequence; here,
    as in the equation, it is scaled. Claimed: language models (Hawk, Griffin) that extrapolate to sequences at least 4
    times as long as those trained on (section 6.1).

    >>> cell = RGLRU(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      input_init: initialiser of each block [D, H] of w_i.
      negative_eigenvalues: whether h_{t-1} is multiplied by 2 a_t - 1, in (-1, 1), in place of a_t: a sign that an
        input flips, without which no linear recurrence of real eigenvalues computes parity (Grazzi et al. 2025,
        arXiv:2411.12537, theorem 1). The input's scale stays that of a_t, else a unit with |2 a_t - 1| = 1 would read
        nothing.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())
    negative_eigenvalues: bool = False

    def init(self, key: jax.Array) -> RGLRUParams:
        key_i, key_a = jax.random.split(key)
        log_a = jnp.log(jax.random.uniform(key_a, (self.hidden_size,), minval=0.9, maxval=0.999)) / _C
        return RGLRUParams(
            w_i=initializers.stack_gates(self.input_init, key_i, 3, (self.input_size, self.hidden_size)),
            b=jnp.zeros(3 * self.hidden_size),
            lambda_=log_a - jnp.log(-jnp.expm1(log_a)),
        )

    def initial_state(self, params: RGLRUParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def project(self, params: RGLRUParams, x: jax.Array) -> tuple[Diagonal, jax.Array]:
        u, r, i = jnp.split(affine(x, params.w_i, params.b), 3, axis=-1)
        log_a = _C * over_batch(jax.nn.log_sigmoid(params.lambda_), x.ndim) * jax.nn.sigmoid(r)
        kept, lost = jnp.exp(log_a), -jnp.expm1(log_a)
        variance = lost * (1 + kept)  # 1 - a^2, without cancellation near a = 1
        scale = jnp.sqrt(jnp.maximum(variance, jnp.finfo(variance.dtype).tiny))  # at 0 the root has no derivative
        return Diagonal(kept - lost if self.negative_eigenvalues else kept), scale * jax.nn.sigmoid(i) * u

    def linear(self, params: RGLRUParams, drive: tuple[Diagonal, jax.Array]) -> tuple[Transition, jax.Array]:
        del params
        return drive
