"""Inputs together with the random numbers of their step, so that a cell with noise stays a pure function.

A forgotten key would turn the noise off in training, so a cell with noise must be given one: `key=None` is evaluation.
"""

import enum
from typing import Any, NamedTuple

import jax


class NotGiven(enum.Enum):
    """The default of a key: allowed only where nothing is random."""

    NOT_GIVEN = "not given"


NOT_GIVEN = NotGiven.NOT_GIVEN
Key = jax.Array | NotGiven | None


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


def keys(key: Key, count: int) -> list[Any]:
    """Splits a key into `count`; returns as many times the same if it is None or not given."""
    return [key] * count if key is None or isinstance(key, NotGiven) else list(jax.random.split(key, count))


def given(key: Key, who: Any) -> jax.Array | None:
    """Returns the key of something random: a cell, or anything that a name describes.

    Raises:
      ValueError: if it is not given; the message names `who`.
    """
    if isinstance(key, NotGiven):
        who = who if isinstance(who, str) else _nested(who)
        raise ValueError(
            f"{who} is random, so key must be given; pass key=jax.random.key(...) in training, key=None in evaluation"
        )
    return key


def draw(cell: Any, params: Any, key: Key, shape: tuple[int, ...]) -> Any:
    """Returns the noise of a cell's inputs [*shape, input_size]: None without a key, or if the cell has none.

    Raises:
      ValueError: if the cell has noise and the key is not given.
    """
    if isinstance(key, NotGiven):
        drawn = jax.eval_shape(lambda p: cell.noise(p, jax.random.key(0), shape), params)
        key = given(key, cell) if jax.tree.leaves(drawn) else None
    return None if key is None else cell.noise(params, key, shape)


def _nested(cell: Any) -> str:
    """Returns the names of a wrapper and of the cells inside: Zoneout(LSTM)."""
    inner = getattr(cell, "cell", None)
    return type(cell).__name__ + (f"({_nested(inner)})" if inner is not None else "")
