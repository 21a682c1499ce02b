"""x W + b over any leading dimensions."""

import jax
import jax.numpy as jnp


def affine(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
    """Returns x W + b for x [..., D], w [D, G], b [G]."""
    one = x.shape[-1] == 1
    product = jax.lax.platform_dependent(x, w, cpu=_two_features, default=jnp.matmul) if one else x @ w
    return product + over_batch(b, x.ndim)


def _two_features(x: jax.Array, w: jax.Array) -> jax.Array:
    # XLA lowers a product with one feature to an elementwise operation and fuses it into each gate, which blocks vector
    # code on a CPU: an LSTM takes 1.5 times as long (jaxlib 0.10.2). A second feature, zero, keeps it a matrix product.
    return jnp.concatenate([x, jnp.zeros_like(x)], axis=-1) @ jnp.concatenate([w, jnp.zeros_like(w)])


def over_batch(v: jax.Array, ndim: int) -> jax.Array:
    """Returns v [G] as [1, ..., 1, G] with `ndim` dimensions: an explicit broadcast, never rank promotion."""
    return jnp.reshape(v, (1,) * (ndim - 1) + v.shape)
