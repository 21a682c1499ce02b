"""Base class of SnAp and e-prop: an influence matrix of which only some entries are kept, in blocks."""

import abc
from typing import Any

import jax

from rnn_jax.gradients.online import FlatCell, Online
from rnn_jax.gradients.pattern import Blocks


class Sparse(Online):
    """M_t = mask * (D_t M_{t-1} + F_t), F = dstep/dtheta; a subclass defines the mask and D."""

    @abc.abstractmethod
    def blocks(self, flat: FlatCell, x: Any) -> Blocks:
        """Returns the entries that are kept."""

    @abc.abstractmethod
    def jacobian(self, flat: FlatCell, theta: jax.Array, s: jax.Array, x: Any) -> jax.Array:
        """Returns D [S, S]."""

    def init_influence(
        self, flat: FlatCell, theta: jax.Array, x: Any, is_initial: bool, key: jax.Array | None
    ) -> jax.Array:
        kept = self.blocks(flat, x)
        if not is_initial:
            return kept.zeros(theta.dtype)
        pullback = jax.vjp(flat.initial, theta)[1]
        return kept.gather_jacobian(lambda v: pullback(v)[0], theta.dtype)

    def update_influence(
        self, flat: FlatCell, theta: jax.Array, s: jax.Array, x: Any, influence: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        kept = self.blocks(flat, x)
        pullback = jax.vjp(lambda theta: flat.step(theta, s, x), theta)[1]
        carried = kept.matmul(self.jacobian(flat, theta, s, x), influence)
        return carried + kept.gather_jacobian(lambda v: pullback(v)[0], theta.dtype)

    def contract(
        self, flat: FlatCell, theta: jax.Array, x: Any, influence: jax.Array, state_bar: jax.Array
    ) -> jax.Array:
        return self.blocks(flat, x).contract(state_bar, influence, theta.size)
