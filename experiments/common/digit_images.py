"""Handwritten digits as small square images in three parts: of what scenes and clips are made."""

import dataclasses
import math

import numpy as np

from experiments.common.flags import UserError
from rnn_jax import tasks
from rnn_jax.data import idx

SIDE = 14  # pixels: larger images are made smaller, by means of squares, to no less than this
HELD_OUT = 12  # one of so many training images validates


@dataclasses.dataclass(frozen=True, eq=False)
class Digits:
    """A part."""

    images: np.ndarray  # floats in [0, 1], [N, side, side]
    labels: np.ndarray  # integers in 0..9, [N]

    @property
    def side(self) -> int:
        """Pixels of an edge."""
        return int(self.images.shape[1])

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """The places of some images, integers [count]: each comes as often as the others, but for one time."""
        rounds = -(-count // len(self.labels))
        return np.concatenate([rng.permutation(len(self.labels)) for _ in range(rounds)])[:count]


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """The parts. No image is in two."""

    source: str
    training: Digits
    validation: Digits
    test: Digits


def read(folder: str | None) -> Parts:
    """MNIST's four files in a folder; None: scikit-learn's 8 x 8 digits, which need no file.

    Raises:
      UserError: where a file is missing or damaged, or its images are not square, or its labels no digits.
    """
    try:
        if folder is None:
            task = tasks.digits()
            learnt = np.asarray(task.train_images), np.asarray(task.train_labels)
            tested = np.asarray(task.test_images), np.asarray(task.test_labels)
            return _parts("scikit-learn's digits", learnt, tested, 16)
        learnt, tested = (idx.read_labelled_images(folder, part) for part in ("train", "t10k"))
        return _parts(folder, learnt, tested, 255)
    except ValueError as error:
        raise UserError(f"--data: {error}") from error


def _parts(
    source: str, learnt: tuple[np.ndarray, np.ndarray], tested: tuple[np.ndarray, np.ndarray], white: int
) -> Parts:
    for _, labels in (learnt, tested):
        if labels.max() > 9:
            raise ValueError(f"{source}: labels must be digits, 0 to 9, got {labels.max()}")
    images, labels = _square(source, learnt[0], white), learnt[1].astype(int)
    validates = np.arange(len(images)) % HELD_OUT == HELD_OUT - 1
    return Parts(
        source,
        Digits(images[~validates], labels[~validates]),
        Digits(images[validates], labels[validates]),
        Digits(_square(source, tested[0], white), tested[1].astype(int)),
    )


def _square(source: str, pixels: np.ndarray, white: int) -> np.ndarray:
    side = math.isqrt(pixels.shape[1])
    if side**2 != pixels.shape[1]:
        raise ValueError(f"{source}: images must be square, got {pixels.shape[1]} pixels")
    images = pixels.reshape(-1, side, side).astype(np.float32) / white
    factor = max(1, side // SIDE)
    side //= factor
    cut = images[:, : side * factor, : side * factor]
    return cut.reshape(-1, side, factor, side, factor).mean(axis=(2, 4))
