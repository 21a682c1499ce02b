"""Arrays that users pass: of JAX or NumPy, in any byte order. Imports nothing of the project."""

from typing import Any

import jax
import numpy as np


def native(tree: Any, door: str, name: str = "xs") -> Any:
    """Returns arrays in the machine's byte order: files hold others (`>f4`), which JAX refuses.

    >>> native(np.ones(2, ">f4"), "unroll").dtype
    dtype('float32')

    Args:
      tree: pytree of arrays, or of anything that becomes one.
      door: name of the function in messages.
      name: name of the argument in messages.

    Raises:
      TypeError: if one is an array of another library.
    """

    def convert(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return x.astype(x.dtype.newbyteorder("="), copy=False)
        if hasattr(x, "dtype") and not isinstance(x, jax.Array | np.generic | jax.ShapeDtypeStruct):
            kind = f"{type(x).__module__.partition('.')[0]}.{type(x).__name__}"
            raise TypeError(
                f"{door}: {name} must be a JAX or NumPy array, got {kind}; convert it by numpy.asarray({name})"
            )
        return x

    return jax.tree.map(convert, tree)
