"""Leaves of pytrees: those with a gradient, and their names. Imports nothing of the project."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp


def floats(tree: Any, like: Any = None) -> list[Any]:
    """Returns the leaves that have a gradient: the floating-point and complex ones.

    >>> floats({"steps": jnp.array(3), "h": jnp.array(0.5)})
    [Array(0.5, dtype=float32, weak_type=True)]

    Args:
      tree: a pytree of arrays.
      like: a pytree of the same structure whose leaves' types decide; None means `tree`. Cotangents of integers, whose
        type is `float0`, are left out this way.
    """
    leaves = jax.tree.leaves(tree)
    types = leaves if like is None else jax.tree.leaves(like)
    return [leaf for leaf, kind in zip(leaves, types, strict=True) if jnp.issubdtype(kind.dtype, jnp.inexact)]


def refill(tree: Any, leaves: list[Any]) -> Any:
    """Returns the tree with its floating-point leaves replaced, in the order of `floats`."""
    new = iter(leaves)
    return jax.tree.map(lambda leaf: next(new) if jnp.issubdtype(leaf.dtype, jnp.inexact) else leaf, tree)


def named_leaves(tree: Any) -> dict[str, Any]:
    """Returns the leaves by their dotted names.

    >>> named_leaves({"cell": {"b": 1, "w_h": 2}})
    {'cell.b': 1, 'cell.w_h': 2}
    """
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def listed(names: Sequence[str], most: int = 5) -> str:
    """Returns names in a list for a message; of more than `most`, the first ones and the number of the others.

    >>> listed(["b", "w_h", "w_i"]), listed(["b", "w_h", "w_i", "w_o"], most=3)
    ('b, w_h, w_i', 'b, w_h, 2 others')
    """
    shown = names if len(names) <= most else [*names[: most - 1], f"{len(names) - most + 1} others"]
    return ", ".join(shown)
