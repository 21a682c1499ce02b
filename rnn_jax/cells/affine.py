"""x W + b over any leading dimensions."""

import jax
import jax.numpy as jnp


def affine(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
    """Returns x W + b for x [..., D], w [D, G], b [G]."""
    return x @ w + over_batch(b, x.ndim)


def over_batch(v: jax.Array, ndim: int) -> jax.Array:
    """Returns v [G] with leading dimensions of one, `ndim` in all: spread explicitly, never by rank promotion."""
    return jnp.reshape(v, (1,) * (ndim - 1) + v.shape)
