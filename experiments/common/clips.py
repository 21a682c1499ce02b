"""The three splits of the moving digits, and their classes.

A single frame shows the digit, but not what it did before: see `rnn_jax.data.moving_images`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import digit_images
from experiments.common.digit_images import Digits
from rnn_jax.data import Examples
from rnn_jax.data.moving_images import batch


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
    digits, rng = digit_images.read(folder, "labels.csv"), np.random.default_rng(seed)
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


def note(data: Data) -> str:
    """Returns the first line of output: source and sizes of the data."""
    side = data.training.whole["image"].shape[-1]
    return (
        f"{data.source}: clips of moving digits, {side} x {side} pixels each; {data.training.size:,} training clips in "
        f"an epoch, {data.validation.size:,} validation, {data.test.size:,} test, of other images"
    )


def classes(examples: Examples) -> Classes:
    """Returns the true classes of a validation or test set."""
    return Classes(*(np.asarray(examples.whole[name]) for name in ("directions", "label", "path")))
