"""Independently recurrent neural network (IndRNN), Li et al. 2018 (arXiv:1803.04831), eq. 2.

    h_t = act(x_t W + u * h_{t-1} + b)

A unit reads its own state alone, so that ds_T/ds_{T-k} is diagonal, prod_t act'(.) u: as large as |u|^k for active
ReLUs. Units are mixed by the layer after it.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, initializers
from rnn_jax.cell import SplitCell
from rnn_jax.cells.projection import affine, over_batch


class IndRNNParams(NamedTuple):
    """Weights [in, out]; one recurrent weight for each unit."""

    w_i: jax.Array  # [D, H]
    u: jax.Array  # [H]
    b: jax.Array  # [H]


@dataclasses.dataclass(frozen=True)
class IndRNN(SplitCell):
    """IndRNN with ReLU; the state and the output are h [*batch, H].

    The authors' code draws u from U(0, 1), so that units remember differently; in the last layer, if only its last
    output is read, from a narrow range at 1. For adding it draws w_i from N(0, 0.001^2); the default here is ours. It
    keeps |u| <= 2^(1/T) by clipping u before each update, which is no part of the cell: an optax projection. Claimed:
    sequences of over 5,000 steps (abstract); sequential MNIST 99.0 %, permuted 96.0 % (as quoted by Gu et al. 2022,
    arXiv:2111.00396, table 12).

    >>> cell = IndRNN(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> cell.step(params, cell.initial_state(params, (5,)), cell.project(params, jnp.ones((5, 2)))).shape
    (5, 3)

    Args:
      input_size: D.
      hidden_size: H.
      activation: any pointwise function; give a named function, as a cell is compared by value.
      u_min: smallest initial u.
      u_max: largest initial u.
      input_init: initialiser of w_i.

    Raises:
      ValueError: if a size is not a positive integer, or u_min is above u_max.
    """

    activation: Callable[[jax.Array], jax.Array] = jax.nn.relu
    u_min: float = initializers.init_only(0.0)
    u_max: float = initializers.init_only(1.0)
    input_init: initializers.Initializer = initializers.init_only(initializers.LecunNormal())

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.finite(self.u_min, "IndRNN: u_min")
        checks.finite(self.u_max, "IndRNN: u_max")
        if self.u_min > self.u_max:
            raise ValueError(f"IndRNN: must have u_min <= u_max, got {self.u_min!r} and {self.u_max!r}")

    def init(self, key: jax.Array) -> IndRNNParams:
        key_i, key_u = jax.random.split(key)
        return IndRNNParams(
            w_i=self.input_init(key_i, (self.input_size, self.hidden_size)),
            u=jax.random.uniform(key_u, (self.hidden_size,), minval=self.u_min, maxval=self.u_max),
            b=jnp.zeros(self.hidden_size),
        )

    def initial_state(self, params: IndRNNParams, batch_shape: tuple[int, ...] = ()) -> jax.Array:
        return jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)

    def project(self, params: IndRNNParams, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def recurrent(self, params: IndRNNParams, state: jax.Array) -> jax.Array:
        return state * over_batch(params.u, state.ndim)

    def activate(self, params: IndRNNParams, state: jax.Array, drive: jax.Array, r: jax.Array) -> jax.Array:
        del params, state
        return self.activation(drive + r)
