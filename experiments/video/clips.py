"""Clips of one handwritten digit that moves along a path, their classes, and the three splits.

    straight                    one direction
    to and fro                  two opposite directions, alternating
    clockwise, anticlockwise    four directions in turn, around a square

Path, start within its cycle of directions, position, and speed of 1 or 2 pixels a frame are random. The class of a
frame is the direction of the move before it (the first frame has none); those of a clip are its digit and its path. A
single frame shows the digit, but not what it did before.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import digit_images
from experiments.common.digit_images import Digits
from rnn_jax.data import Examples
from rnn_jax.models.video import NO_LABEL

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


class Classes(NamedTuple):
    """True or predicted classes of N clips, predicted ones for each seed."""

    directions: np.ndarray  # [..., N, T - 1]
    digits: np.ndarray  # [..., N]
    paths: np.ndarray  # [..., N]


# whole: image [N, side, side], label [N]; of validation and test set, whose paths are fixed, also key [N] and the
# classes that follow from it, directions [N, T - 1] and path [N]. Every epoch of the training set draws new paths.
Data = digit_images.Splits[Examples]


def load(folder: str | None, count: int, tested: int, seed: int) -> Data:
    """Returns the data of a run with `count` training clips and `tested` clips in each of the other two splits.

    Raises:
      UserError: if the folder's files cannot be used.
    """
    digits, rng = digit_images.read(folder), np.random.default_rng(seed)
    training = Examples({}, _images(digits.training, count, rng))
    validation = _fixed(digits.validation, tested, rng, seed)
    return Data(digits.source, training, validation, _fixed(digits.test, tested, rng, seed + 1))


def _images(digits: Digits, count: int, rng: np.random.Generator) -> dict[str, jax.Array]:
    chosen = digits.draw(count, rng)
    return {"image": jnp.asarray(digits.images[chosen]), "label": jnp.asarray(digits.labels[chosen])}


def _fixed(digits: Digits, count: int, rng: np.random.Generator, seed: int) -> Examples:
    images, keys = _images(digits, count, rng), jax.random.split(jax.random.key(seed), count)
    return Examples({}, {**images, "key": keys, **_directions_and_path(keys, images["image"])})


@jax.jit
def _directions_and_path(keys: jax.Array, images: jax.Array) -> dict[str, jax.Array]:
    """Returns the classes of clips without the frames, which are large."""
    clips = batch(keys, images)
    return {"directions": clips.directions[1:].T, "path": clips.path}


def classes(examples: Examples) -> Classes:
    """Returns the true classes of a validation or test set."""
    return Classes(*(np.asarray(examples.whole[name]) for name in ("directions", "label", "path")))


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
