"""A dense layer x W + b, as flax.linen.Dense variables: the readout of every model here."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def init(key: jax.Array, size: int, features: Any) -> Any:
    """Draws W [F, size] and b [size] in the dtype of their input.

    Args:
      key: random key of the draw.
      size: width of the output.
      features: array or `jax.ShapeDtypeStruct` [..., F] like those that the layer reads.
    """
    return nn.Dense(size, param_dtype=features.dtype).init(key, jnp.zeros(features.shape, features.dtype))


def apply(params: Any, size: int, features: jax.Array) -> jax.Array:
    """Returns features W + b, [..., size], of features [..., F]."""
    outputs: Any = nn.Dense(size, param_dtype=features.dtype).apply(params, features)
    return outputs
