"""Clips of one handwritten digit that moves along a path.

    straight      one direction, all the time
    to and fro    two directions that are opposite, by turns
    clockwise, anticlockwise    four directions by turns, round a square

A path is drawn, where it begins within its turn, and its speed of 1 or 2 pixels a frame. A frame's class is the
direction from the frame before it to this one (the first frame has none); a clip's is the digit and the path together.
A single frame tells the digit, and nothing of where it came from.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.models.video import NO_LABEL

DIRECTIONS = ("up", "right", "down", "left")
STEPS = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])  # (down, right) of each
PATHS = (
    "straight, vertical",
    "straight, horizontal",
    "to and fro, vertical",
    "to and fro, horizontal",
    "clockwise",
    "anticlockwise",
)
TURNS = (
    ((0, 0, 0, 0), (2, 2, 2, 2)),  # of a straight path the direction is drawn as well
    ((1, 1, 1, 1), (3, 3, 3, 3)),
    ((0, 2, 0, 2), (2, 0, 2, 0)),
    ((1, 3, 1, 3), (3, 1, 3, 1)),
    ((0, 1, 2, 3), (2, 3, 0, 1)),
    ((0, 3, 2, 1), (2, 1, 0, 3)),
)
LEG = 2  # moves until the direction turns
FRAMES = 4 * LEG + 1
FASTEST = 2  # pixels a frame


class Clips(NamedTuple):
    """Clips and their classes."""

    frames: jax.Array  # [T, edge, edge, 1]
    directions: jax.Array  # [T], NO_LABEL at the first
    path: jax.Array  # []


def edge(side: int) -> int:
    """Pixels of a frame's edge: the longest straight path fits."""
    return side + FASTEST * (FRAMES - 1) + 2


def clip(key: jax.Array, image: jax.Array) -> Clips:
    """A clip of an image [side, side], its path drawn."""
    side = image.shape[-1]
    size = edge(side)
    key_path, key_way, key_begin, key_speed, key_place = jax.random.split(key, 5)
    path = jax.random.randint(key_path, (), 0, len(PATHS))
    turns = jnp.array(TURNS)[path, jax.random.randint(key_way, (), 0, 2)]
    begin = jax.random.randint(key_begin, (), 0, 4 * LEG)
    moves = turns[(begin + jnp.arange(FRAMES - 1)) // LEG % 4]  # [T - 1]
    speed = jax.random.randint(key_speed, (), 1, FASTEST + 1)
    walked = jnp.concatenate([jnp.zeros((1, 2), int), jnp.cumsum(speed * jnp.array(STEPS)[moves], axis=0)])
    # Anywhere from where the whole path stays inside.
    least, most = -walked.min(axis=0), size - side - walked.max(axis=0)
    first = least + jnp.floor(jax.random.uniform(key_place, (2,)) * (most - least + 1)).astype(int)
    empty = jnp.zeros((size, size), image.dtype)
    places = first[None] + walked
    frames = jax.vmap(lambda at: jax.lax.dynamic_update_slice(empty, image, (at[0], at[1])))(places)
    return Clips(frames[..., None], jnp.concatenate([jnp.array([NO_LABEL]), moves]), path)
