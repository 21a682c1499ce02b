"""Inputs with the random numbers of their step beside them: how noise reaches a cell without the cell drawing any."""

from typing import Any, NamedTuple

import jax


class Noisy(NamedTuple):
    """An input and what `Cell.noise` drew for its step."""

    x: Any
    noise: Any


def join(x: Any, noise: Any) -> Any:
    """`Noisy(x, noise)`, or x itself where there is no noise."""
    return x if noise is None else Noisy(x, noise)


def split(x: Any) -> tuple[Any, Any]:
    """The input and its noise, None where it has none: evaluation."""
    return (x.x, x.noise) if isinstance(x, Noisy) else (x, None)


def take(x: Any) -> tuple[Any, Any]:
    """For a wrapper whose noise is (its own, that of the cell inside): the input for that cell, and its own noise."""
    x, drawn = split(x)
    own, inner = (None, None) if drawn is None else drawn
    return join(x, inner), own


def keys(key: jax.Array | None, count: int) -> list[jax.Array | None]:
    """`count` keys from one, or none from none."""
    return [None] * count if key is None else list(jax.random.split(key, count))
