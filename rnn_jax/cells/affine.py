"""x W + b over any leading dimensions."""

import jax
import jax.numpy as jnp


def affine(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
    """Returns x W + b for x [..., D], w [D, G], b [G]; the bias is spread explicitly, never by rank promotion."""
    return x @ w + jnp.reshape(b, (1,) * (x.ndim - 1) + b.shape)
