"""Clips of one image that moves along a path, such as a handwritten digit, and their classes.

    straight                    one direction
    to and fro                  two opposite directions, alternating
    clockwise, anticlockwise    four directions in turn, around a square

Path, start within its cycle of directions, position, and speed of 1 or 2 pixels a frame are random. The class of a
frame is the direction of the move before it (the first frame has none); that of a clip is its path.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

NO_LABEL = -1  # class of the first frame

DIRECTIONS = ("up", "right", "down", "left")
STEPS = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])  # (down, right) of each
CYCLES = {  # two cycles of directions for each path
    "straight, vertical": ((0, 0, 0, 0), (2, 2, 2, 2)),
    "straight, horizontal": ((1, 1, 1, 1), (3, 3, 3, 3)),
    "to and fro, vertical": ((0, 2, 0, 2), (2, 0, 2, 0)),
    "to and fro, horizontal": ((1, 3, 1, 3), (3, 1, 3, 1)),
    "clockwise": ((0, 1, 2, 3), (2, 3, 0, 1)),
    "anticlockwise": ((0, 3, 2, 1), (2, 1, 0, 3)),
}
PATHS = tuple(CYCLES)
LEG = 2  # moves in one direction before the next one of the cycle
FRAMES = 4 * LEG + 1
FASTEST = 2  # pixels a frame


class Clip(NamedTuple):
    """A clip and its classes; a batch of clips is time-major, see `batch`."""

    frames: jax.Array  # [T, edge, edge, 1]
    directions: jax.Array  # [T], NO_LABEL for the first frame
    path: jax.Array  # []


def batch(keys: jax.Array, images: jax.Array) -> Clip:
    """Returns B clips: frames [T, B, edge, edge, 1], directions [T, B], path [B]."""
    clips = jax.vmap(clip)(keys, images)
    return Clip(jnp.swapaxes(clips.frames, 0, 1), clips.directions.T, clips.path)


def edge(side: int) -> int:
    """Returns the pixels of a frame's edge: the longest straight path fits."""
    return side + FASTEST * (FRAMES - 1) + 2


def clip(key: jax.Array, image: jax.Array) -> Clip:
    """Returns a clip of an image [side, side] on a random path."""
    side = image.shape[-1]
    size = edge(side)
    key_path, key_cycle, key_start, key_speed, key_position = jax.random.split(key, 5)
    path = jax.random.randint(key_path, (), 0, len(PATHS))
    cycle = jnp.array(tuple(CYCLES.values()))[path, jax.random.randint(key_cycle, (), 0, 2)]
    start = jax.random.randint(key_start, (), 0, 4 * LEG)
    moves = cycle[(start + jnp.arange(FRAMES - 1)) // LEG % 4]  # [T - 1]
    speed = jax.random.randint(key_speed, (), 1, FASTEST + 1)
    offsets = jnp.concatenate([jnp.zeros((1, 2), int), jnp.cumsum(speed * jnp.array(STEPS)[moves], axis=0)])
    # The first position is any from which the whole path stays inside the frame.
    least, most = -offsets.min(axis=0), size - side - offsets.max(axis=0)
    first = least + jnp.floor(jax.random.uniform(key_position, (2,)) * (most - least + 1)).astype(int)
    empty = jnp.zeros((size, size), image.dtype)
    frames = jax.vmap(lambda at: jax.lax.dynamic_update_slice(empty, image, (at[0], at[1])))(first[None] + offsets)
    return Clip(frames[..., None], jnp.concatenate([jnp.array([NO_LABEL]), moves]), path)
