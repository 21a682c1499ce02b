"""Euclidean norms of values whose squares would overflow or underflow. Imports nothing of the project.

A norm is the root of one of three sums: that of the squares, and if it overflows or is too small to be exact, that of
the squares of values scaled by a power of two, down or up. Ordinary values give the bits of `jnp.linalg.norm`, or in
total of `optax.tree.norm`. No sum waits for another, so an accelerator reads the values once.
"""

from typing import Any

import jax
import jax.numpy as jnp


def norm(x: jax.Array, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> jax.Array:
    """Returns the norm of a real array over one axis, several or all.

    >>> print(f"{norm(jnp.array([3e25, 4e25])):.3g}")
    5e+25

    Args:
      x: values.
      axis: axes of the norm; None: all.
      keepdims: whether these axes stay, with size 1.
    """
    far = _far(x)
    return _root(_sums(x, far, axis, keepdims), far)


def total_and_each(tree: Any) -> tuple[jax.Array, Any]:
    """Returns the norm of all leaves in total, and the norm of each, as a pytree.

    >>> total, each = total_and_each({"b": jnp.array([3.0]), "w": jnp.array([[0.0, 4.0]])})
    >>> float(total), float(each["w"])
    (5.0, 4.0)

    Args:
      tree: pytree of real arrays.
    """
    leaves, structure = jax.tree.flatten(tree)
    far = min(map(_far, leaves))
    sums = [_sums(leaf, far) for leaf in leaves]
    total = tuple(sum(part) for part in zip(*sums, strict=True))
    return _root(total, far), jax.tree.unflatten(structure, [_root(each, far) for each in sums])


def scaled_norm(x: jax.Array) -> jax.Array:
    """Returns the norm over the last axis, with a derivative that is finite at every size, and zero at zero.

    Values are scaled by the largest, so the last bits differ from those of `norm`.

    >>> print(f"{scaled_norm(jnp.array([3e-25, 4e-25])):.3g}")
    5e-25

    Args:
      x: real values [..., n].
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1))  # it cancels
    nonzero = largest > 0
    scaled = x / jnp.where(nonzero, largest, 1)[..., None]
    return largest * jnp.sqrt(jnp.where(nonzero, jnp.sum(scaled**2, axis=-1), 1))


def _far(x: jax.Array) -> float:
    """Returns the power of two by which values are scaled: 2^89 in float32, whose largest value is 2^128."""
    return 2.0 ** int(0.7 * jnp.finfo(x.dtype).maxexp)


def _sums(x: jax.Array, far: float, axis: Any = None, keepdims: bool = False) -> tuple[jax.Array, ...]:
    # Without the choice XLA may compute (x far)^2 as x^2 far^2, which overflows (jaxlib 0.10.2).
    large = jnp.abs(x) > 1
    scaled = jnp.where(large, x / far, 0), jnp.where(large, 0, x * far)
    return tuple(jnp.sum(jnp.square(y), axis=axis, keepdims=keepdims) for y in (x, *scaled))


def _root(sums: tuple[Any, ...], far: float) -> jax.Array:
    plain, down, up = sums
    scaled = jnp.where(plain > 1, jnp.sqrt(down) * far, jnp.sqrt(up) / far)
    return jnp.where((plain > far**-0.75) & (plain < jnp.inf), jnp.sqrt(plain), scaled)
