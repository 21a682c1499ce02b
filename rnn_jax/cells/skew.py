"""Skew-symmetric matrices, A = -A^T, from their n (n - 1) / 2 free entries."""

import jax
import jax.numpy as jnp


def skew_symmetric(entries: jax.Array, size: int) -> jax.Array:
    """Returns A [size, size] from the entries above its diagonal, row by row.

    >>> skew_symmetric(jnp.array([1.0, 2.0, 3.0]), 3)
    Array([[ 0.,  1.,  2.],
           [-1.,  0.,  3.],
           [-2., -3.,  0.]], dtype=float32)
    """
    row, column = (jax.lax.broadcasted_iota(jnp.int32, (size, size), axis) for axis in (0, 1))
    place = row * size - row * (row + 1) // 2 + column - row - 1
    upper = jnp.append(entries, 0)[jnp.where(row < column, place, len(entries))]
    return upper - upper.T


def entries_above_diagonal(matrix: jax.Array) -> jax.Array:
    """Returns the entries of a matrix [n, n] from which `skew_symmetric` makes one."""
    return matrix[jnp.triu_indices(len(matrix), 1)]
