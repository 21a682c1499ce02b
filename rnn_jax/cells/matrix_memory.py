"""Memories of matrices S [V, K], which store a value v under a key k, and answer a query q.

S_t = transition_t(S_{t-1}) + v_t k_t^T      write
o_t = S_t q_t                                read: the sum of all values, by their keys' products with the query

Linear attention without softmax (Katharopoulos et al. 2020, arXiv:2006.16236), or fast weights (Schlag et al. 2021,
arXiv:2102.11174). The cells differ in what they forget. Several heads have a memory each.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.cell import LinearCell


@dataclasses.dataclass(frozen=True)
class MatrixMemory(LinearCell):
    """The base of all: `heads` memories [H / heads, H / heads] in the state, [*batch, heads, V, K].

    The output is the concatenation of what the heads read [*batch, H]. Their normalisation, an output gate, the layer
    that mixes them and the short convolutions before keys, queries and values belong to the papers' blocks.
    """

    heads: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.divisor(self.heads, self.hidden_size, f"{type(self).__name__}: heads", "hidden_size")

    @property
    def head_size(self) -> int:
        """Rows and columns of one memory."""
        return self.hidden_size // self.heads

    def initial_state(self, params: Any, batch_shape: tuple[int, ...] = ()) -> Any:
        return jnp.zeros((*batch_shape, self.heads, self.head_size, self.head_size), params.w_i.dtype)

    def by_head(self, x: jax.Array) -> jax.Array:
        """Returns x [*batch, H] as [*batch, heads, H / heads]."""
        return jnp.reshape(x, (*x.shape[:-1], self.heads, self.head_size))


def store(key: jax.Array, value: jax.Array) -> jax.Array:
    """Returns v k^T [..., V, K]."""
    # Its gradients are products then, and not sums (see `linear.DiagonalPlusRankOne`).
    return jnp.einsum("...v,...k->...vk", value, key)


def read(memory: jax.Array, query: jax.Array) -> jax.Array:
    """Returns S q [..., heads, V], from memories [..., heads, V, K] and queries [..., heads, K]."""
    return (memory @ query[..., None])[..., 0]


def merge(heads: jax.Array) -> jax.Array:
    """Returns the heads' vectors [..., heads, V] as one, [..., H]."""
    return jnp.reshape(heads, (*heads.shape[:-2], heads.shape[-2] * heads.shape[-1]))
