"""Checks that parameters are those of the cell or model that they are given to. Imports `static` only."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import static


def check(owner: Any, params: Any) -> None:
    """Refuses parameters whose structure, shapes or kind of number are not those that `owner.init` makes.

    Any float type is accepted, and anything where `init` leaves None (the memory of a cell that attends). Inside
    `jax.vmap` the shapes are those of one seed.

    Args:
      owner: cell, layer or model, hashable. One without an `init` that can be traced is not checked.
      params: its parameters.

    Raises:
      TypeError: if the owner is a class.
      ValueError: if they are not its parameters; the message has the expected and the given ones.
    """
    static.refuse_class(owner, "cell or model")
    expected = _expected(owner)
    if expected is None:
        return
    wrong: list[str] = []

    def compare(path: Any, like: Any, leaf: Any) -> None:
        if like is not None and not _fits(leaf, like):
            hint = "; for the parameters of many seeds use jax.vmap" if np.shape(leaf)[1:] == like.shape else ""
            wrong.append(f"params{jax.tree_util.keystr(path)} must be {_text(like)}, got {_text(leaf)}{hint}")

    try:
        jax.tree.map_with_path(compare, expected, params, is_leaf=lambda leaf: leaf is None)
    except ValueError:
        wrong = [
            f"params must be {_outline(expected)}, got {_outline(params)}; take those of its init, as the target when "
            "they are restored from a file"
        ]
    if wrong:
        raise ValueError(f"{type(owner).__name__}: {wrong[0]}")


@functools.lru_cache(maxsize=4096)
def _expected(owner: Any) -> Any:
    if not hasattr(owner, "init"):
        return None
    try:
        with jax.debug_nans(False):  # shapes only; flax's embedding fills places out of range with NaN
            return jax.eval_shape(lambda: owner.init(jax.random.key(0)))
    except (NotImplementedError, jax.errors.JAXTypeError):  # none of its own, or one in NumPy
        return None


def _fits(leaf: Any, like: Any) -> bool:
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
        return False
    if np.shape(leaf) != like.shape or (isinstance(leaf, np.ndarray) and not leaf.dtype.isnative):
        return False
    dtype = getattr(leaf, "dtype", type(leaf))
    return dtype == jax.dtypes.float0 or jnp.issubdtype(dtype, jnp.inexact) == jnp.issubdtype(like.dtype, jnp.inexact)


def _text(leaf: Any) -> str:
    dtype = getattr(leaf, "dtype", None)
    return type(leaf).__name__ if dtype is None else f"{dtype}{list(np.shape(leaf))}"


def _outline(tree: Any) -> str:
    """Returns the type of a pytree, with its leaves by name."""
    leaves = [
        f"{jax.tree_util.keystr(path, simple=True, separator='.')} {_text(leaf)}".strip()
        for path, leaf in jax.tree.leaves_with_path(tree)
    ]
    return f"{type(tree).__name__} of {', '.join(leaves[:8])}{', ...' if len(leaves) > 8 else ''}"
