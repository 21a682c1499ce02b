"""Inputs together with the random numbers of their step, so that a cell with noise stays a pure function."""

from typing import Any, NamedTuple

import jax


class Noisy(NamedTuple):
    """An input and the random numbers that `Cell.noise` drew for its step."""

    x: Any
    noise: Any


def join(x: Any, noise: Any) -> Any:
    """Returns `Noisy(x, noise)`, or x itself if there is no noise."""
    return x if noise is None else Noisy(x, noise)


def split(x: Any) -> tuple[Any, Any]:
    """Returns the input and its noise, which is None in evaluation."""
    return (x.x, x.noise) if isinstance(x, Noisy) else (x, None)


def take(x: Any) -> tuple[Any, Any]:
    """Splits a wrapper's input, whose noise is (its own, the inner cell's), into the inner input and its own noise."""
    x, drawn = split(x)
    own, inner = (None, None) if drawn is None else drawn
    return join(x, inner), own


def keys(key: jax.Array | None, count: int) -> list[jax.Array | None]:
    """Splits a key into `count`; returns as many times None if the key is None."""
    return [None] * count if key is None else list(jax.random.split(key, count))
