"""Minimal gated recurrent unit, Feng et al. 2024 (arXiv:2410.01201), section 3.1 and, for positive states, appendix B.

z_t = sigmoid(x_t W_z + b_z)              update gate: the share of h_{t-1} that is replaced
n_t = g(x_t W_n + b_n)                    candidate, g(x) = x + 0.5 for x >= 0, else sigmoid(x)
h_t = (1 - z_t) * h_{t-1} + z_t * n_t

No gate reads the state, so the recurrence is linear in it and the gates of all steps are computed at once.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import initializers
from rnn_jax.cell import LinearCell
from rnn_jax.cells.projection import affine
from rnn_jax.linear import Diagonal, Transition


class MinGRUParams(NamedTuple):
    """Weights [in, out]; gates concatenated."""

    w_i: jax.Array  # [D, 2H], gates z n
    b: jax.Array  # [2H]


@dataclasses.dataclass(frozen=True)
class MinGRU(LinearCell):
    """minGRU in the paper's log-space form: candidates are positive, and so are states that start positive.

    The paper solves it over log h, because it divides by products of all coefficients so far. `Associative` multiplies
    coefficients of neighbouring steps, all in (0, 1), and divides by nothing, so h itself is stable. z is the share
    *replaced*, as in the paper (in this library's `GRU` it is the share kept). The state before the first step is zero;
    an h_0 of the paper's parallel code means g(h_0). The state and the output are h [*batch, H]. Claimed: selective
    copying of 4,096 steps, 99.5 % with three layers (table 1, as quoted by others).

    >>> import rnn_jax
    >>> cell = MinGRU(input_size=2, hidden_size=3)
    >>> xs = jnp.ones((4, 5, 2))  # [T, batch, input_size]
    >>> _, ys = rnn_jax.unroll(cell, cell.init(jax.random.key(0)), xs, engine=rnn_jax.Associative())
    >>> ys.shape
    (4, 5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      update_bias: initial b_z. A number, or `Chrono(max_lag)`, which draws -b_z (Tallec & Ollivier 2018).
      input_init: initialiser of each gate's block [D, H] of w_i.
      negative_eigenvalues: whether 1 - 2 z_t, in (-1, 1), takes the place of 1 - z_t: a sign that an input flips,
        without which no linear recurrence of real eigenvalues computes parity (Grazzi et al. 2025, arXiv:2411.12537,
        theorem 1). At b_z = 0 it starts as 0, and as 0.9 at -3. States may be negative then.

    Raises:
      ValueError: if a size is not a positive integer.
    """

    update_bias: float | initializers.Chrono = initializers.init_only(0.0)
    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())
    negative_eigenvalues: bool = False

    def init(self, key: jax.Array) -> MinGRUParams:
        key_i, key_b = jax.random.split(key)
        b_n = jnp.zeros(self.hidden_size)
        if isinstance(self.update_bias, initializers.Chrono):
            b_z = -self.update_bias(key_b, (self.hidden_size,))
        else:
            b_z = jnp.full_like(b_n, self.update_bias)
        w_i = initializers.stack_gates(self.input_init, key_i, 2, (self.input_size, self.hidden_size))
        return MinGRUParams(w_i, jnp.concatenate([b_z, b_n]))

    def initial_state(self, params: MinGRUParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def project(self, params: MinGRUParams, x: jax.Array) -> tuple[Diagonal, jax.Array]:
        z, n = jnp.split(affine(x, params.w_i, params.b), 2, axis=-1)
        kept, replaced = jax.nn.sigmoid(-z), jax.nn.sigmoid(z)
        return Diagonal(kept - replaced if self.negative_eigenvalues else kept), replaced * positive(n)

    def linear(self, params: MinGRUParams, drive: tuple[Diagonal, jax.Array]) -> tuple[Transition, jax.Array]:
        del params
        return drive


def positive(x: jax.Array) -> jax.Array:
    """Returns g(x), the candidates' activation: x + 0.5 for x >= 0, else sigmoid(x); continuous, and never zero."""
    return jnp.where(x >= 0, x + 0.5, jax.nn.sigmoid(x))
