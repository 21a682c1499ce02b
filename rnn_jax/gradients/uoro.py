"""Unbiased online recurrent optimization: the influence as one outer product, right in the mean."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from rnn_jax.gradients.online import Online, Vectors

EPSILON = 1e-7  # added to norms, as in the paper


@dataclasses.dataclass(frozen=True)
class UORO(Online):
    """E[a_t b_t^T] = M_t = ds_t/dtheta; Tallec & Ollivier 2018, arXiv:1702.05043.

        a' = r_0 D a + r_1 v,   b' = b / r_0 + v^T F / r_1,   v uniform in {-1, 1}^S
        r_0^2 = ||b|| / ||D a||,   r_1^2 = ||v^T F|| / ||v||

    with D = dstep/ds and F = dstep/dtheta, neither of which is formed: one jvp and one vjp a step. The estimate of the
    gradient is (dL/ds . a) b: unbiased, for any cell that can be stepped, and noisy, the more so the longer the
    sequence. Memory S + P a sequence. The scales r make the noise least; they are even in v, so the mean stays.
    """

    draws: ClassVar[bool] = True

    def begin(
        self, vectors: Vectors, theta: jax.Array, x: Any, own: bool, key: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        s, pull = jax.vjp(vectors.initial, theta)
        v = _signs(key, s)
        return (v, pull(v)[0]) if own else (jnp.zeros_like(s), jnp.zeros_like(theta))

    def advance(
        self,
        vectors: Vectors,
        theta: jax.Array,
        s: jax.Array,
        x: Any,
        influence: tuple[jax.Array, jax.Array],
        key: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array]:
        a, b = influence
        _, pushed = jax.jvp(lambda s: vectors.step(theta, s, x), (s,), (a,))
        v = _signs(key, s)
        (pulled,) = jax.vjp(lambda theta: vectors.step(theta, s, x), theta)[1](v)
        r_0, r_1 = _scale(b, pushed), _scale(pulled, v)
        return r_0 * pushed + r_1 * v, b / r_0 + pulled / r_1

    def gradient(
        self, vectors: Vectors, theta: jax.Array, x: Any, influence: tuple[jax.Array, jax.Array], of_state: jax.Array
    ) -> jax.Array:
        a, b = influence
        return jnp.dot(of_state, a) * b


def _signs(key: jax.Array | None, like: jax.Array) -> jax.Array:
    assert key is not None  # `Online.init` has refused
    return jax.random.rademacher(key, like.shape, like.dtype)


def _scale(over: jax.Array, under: jax.Array) -> jax.Array:
    return jnp.sqrt((jnp.linalg.norm(over) + EPSILON) / (jnp.linalg.norm(under) + EPSILON))
