"""Integers that users pass in arrays: ids, labels, lengths. Every door makes them int32 before it compares them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_RANGE = np.iinfo(np.int32)


def int32(values: Any, what: str, size: int | None = None) -> Any:
    """Returns integers of any dtype and byte order as int32.

    A bound, such as a number of steps or of classes, need not fit the caller's dtype: beside uint8, JAX turns 300 into
    44. Concrete values become NumPy arrays, unless they are int32 arrays of JAX, which stay on their device.

    >>> int32(np.array([200, 100], np.uint8), "lengths")
    array([200, 100], dtype=int32)

    Args:
      values: array, or anything `np.asarray` takes; may be traced.
      what: name of the argument in messages, as "unroll: lengths".
      size: number of valid values, which are in [0, size); None: all that int32 holds.

    Raises:
      TypeError: if the values are not integers.
      ValueError: if a concrete value is out of range. A traced one that int32 does not hold becomes the nearest that it
        holds, so it stays out of every smaller range.
    """
    values = values if isinstance(values, jax.Array) else np.asarray(values)
    if not jnp.issubdtype(values.dtype, jnp.integer):
        raise TypeError(f"{what} must be integers, got {values.dtype}")
    traced, native = isinstance(values, jax.core.Tracer), values.dtype == jnp.int32
    if native and (traced or size is None):
        return values
    if traced:
        own = jnp.iinfo(values.dtype)
        return jnp.clip(values, max(own.min, _RANGE.min), min(own.max, _RANGE.max)).astype(jnp.int32)
    low, high = (_RANGE.min, _RANGE.max) if size is None else (0, size - 1)
    known = np.asarray(values)
    outside = known[(known < low) | (known > high)]
    if outside.size:
        expected = f"fit int32, from {low} to {high}" if size is None else f"be in [0, {size})"
        raise ValueError(f"{what} must {expected}, got {outside[0]}")
    return values if native else known.astype(np.int32)
