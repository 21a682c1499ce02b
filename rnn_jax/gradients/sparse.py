"""What SnAp and e-prop share: an influence of which only some entries are kept, in blocks."""

import abc
from typing import Any

import jax

from rnn_jax.gradients.online import Online, Vectors
from rnn_jax.gradients.pattern import Blocks


class Sparse(Online):
    """M_t = kept(D_t M_{t-1} + F_t), F = dstep/dtheta; a subclass says which entries are kept, and what D is."""

    @abc.abstractmethod
    def blocks(self, vectors: Vectors, x: Any) -> Blocks:
        """The entries that are kept."""

    @abc.abstractmethod
    def jacobian(self, vectors: Vectors, theta: jax.Array, s: jax.Array, x: Any) -> jax.Array:
        """D, [S, S]."""

    def begin(self, vectors: Vectors, theta: jax.Array, x: Any, own: bool, key: jax.Array | None) -> jax.Array:
        kept = self.blocks(vectors, x)
        if not own:
            return kept.zeros(theta.dtype)
        pull = jax.vjp(vectors.initial, theta)[1]
        return kept.of_pulls(lambda v: pull(v)[0], theta.dtype)

    def advance(
        self, vectors: Vectors, theta: jax.Array, s: jax.Array, x: Any, influence: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        kept = self.blocks(vectors, x)
        pull = jax.vjp(lambda theta: vectors.step(theta, s, x), theta)[1]
        carried = kept.times(self.jacobian(vectors, theta, s, x), influence)
        return carried + kept.of_pulls(lambda v: pull(v)[0], theta.dtype)

    def gradient(
        self, vectors: Vectors, theta: jax.Array, x: Any, influence: jax.Array, of_state: jax.Array
    ) -> jax.Array:
        return self.blocks(vectors, x).read(of_state, influence, theta.size)
