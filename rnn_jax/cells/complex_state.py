"""States of complex numbers, from parameters that are real."""

import jax
import jax.numpy as jnp


def zeros(cell: str, shape: tuple[int, ...], dtype: jnp.dtype) -> jax.Array:
    """Returns a complex state of zeros whose parts are of `dtype`, that of the parameters of `cell`.

    Raises:
      TypeError: if there are no complex numbers of such parts.
    """
    if dtype not in (jnp.float32, jnp.float64):
        raise TypeError(
            f"{cell}: params must be float32 or float64, of which complex numbers are made, got {dtype}; for products "
            f"in bfloat16 use MixedPrecision({cell}(...))"
        )
    return jax.lax.complex(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))
