"""Real-time recurrent learning: the exact gradient, going forward."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.gradients.online import Online, Vectors


@dataclasses.dataclass(frozen=True)
class RTRL(Online):
    """M_t = D_t M_{t-1} + F_t, D = dstep/ds [S, S], F = dstep/dtheta [S, P]; Williams & Zipser 1989, "A learning
    algorithm for continually running fully recurrent neural networks".

    Equal to BPTT over the whole of a sequence, in however many stretches, while the parameters stay; when they move
    between stretches, M keeps derivatives at where they were. For any cell that can be stepped, stacks included.
    Memory [S, P] a sequence, whatever T; S^2 P operations a step, S times those of BPTT and more.
    """

    def begin(self, vectors: Vectors, theta: jax.Array, x: Any, own: bool, key: jax.Array | None) -> jax.Array:
        influence = jax.jacrev(vectors.initial)(theta)
        return influence if own else jnp.zeros_like(influence)

    def advance(
        self, vectors: Vectors, theta: jax.Array, s: jax.Array, x: Any, influence: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        of_theta, of_s = jax.jacrev(vectors.step, argnums=(0, 1))(theta, s, x)
        return of_s @ influence + of_theta

    def gradient(
        self, vectors: Vectors, theta: jax.Array, x: Any, influence: jax.Array, of_state: jax.Array
    ) -> jax.Array:
        return of_state @ influence
