"""x W + b over any leading dimensions."""

import jax
import jax.numpy as jnp


def affine(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
    """Returns x W + b for x [..., D], w [D, G], b [G]."""
    if x.shape[-1] == 1:
        # XLA makes pointwise work of a product with one feature, and puts it into every gate's, which then loses its
        # vector code on a CPU: an LSTM takes half of the time again and more. A second feature, of zero, keeps it one.
        x, w = jnp.concatenate([x, jnp.zeros_like(x)], axis=-1), jnp.concatenate([w, jnp.zeros_like(w)])
    return x @ w + over_batch(b, x.ndim)


def over_batch(v: jax.Array, ndim: int) -> jax.Array:
    """Returns v [G] with leading dimensions of one, `ndim` in all: spread explicitly, never by rank promotion."""
    return jnp.reshape(v, (1,) * (ndim - 1) + v.shape)
