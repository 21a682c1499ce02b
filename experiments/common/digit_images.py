"""Handwritten digits as small square images in three splits, from which scenes and clips are made."""

import dataclasses
import math
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from experiments.common.flags import user_errors
from rnn_jax import tasks
from rnn_jax.data import idx

SIDE = 14  # pixels: larger images are reduced, by means of squares, to no less than this
FOLDER_HELP = "Folder with MNIST's four IDX files, gzip or not; by default scikit-learn's 8 x 8 digits."
VALIDATION_EVERY = 12  # one of so many training images is put into the validation set

Split = TypeVar("Split")


@dataclasses.dataclass(frozen=True, eq=False)
class Digits:
    """The images of one split."""

    images: np.ndarray  # floats in [0, 1], [N, side, side]
    labels: np.ndarray  # integers in 0..9, [N]

    @property
    def side(self) -> int:
        """Pixels along an edge."""
        return int(self.images.shape[1])

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Returns indices [count] of random images; the frequencies of two images differ by at most one."""
        rounds = -(-count // len(self.labels))
        return np.concatenate([rng.permutation(len(self.labels)) for _ in range(rounds)])[:count]


@dataclasses.dataclass(frozen=True, eq=False)
class Splits(Generic[Split]):
    """Three splits of digits, or of what is made from them; no image is in two of them."""

    source: str
    training: Split
    validation: Split
    test: Split


def read(folder: str | None, table: str) -> Splits[Digits]:
    """Reads MNIST's four files in a folder; None means scikit-learn's 8 x 8 digits, which need no file.

    Args:
      folder: folder with the files.
      table: name of the file that a folder of the user's own images would have, for the message.

    Raises:
      UserError: if a file is missing or corrupt, its images are not square, or its labels are not digits.
    """
    with user_errors("--data"):
        if folder is None:
            task = tasks.digits()
            train = np.asarray(task.train_images), np.asarray(task.train_labels)
            test = np.asarray(task.test_images), np.asarray(task.test_labels)
            return _split("scikit-learn's digits", train, test, 16)
        if not any(Path(folder).expanduser().glob("*-ubyte*")):
            raise ValueError(
                f"{folder} must hold {table} beside images of your own, or MNIST's four IDX files such as "
                "train-images-idx3-ubyte, plain or with .gz; got neither"
            )
        train, test = (idx.read_labelled_images(folder, split) for split in ("train", "t10k"))
        return _split(folder, train, test, 255)


def _split(
    source: str, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], white: int
) -> Splits[Digits]:
    for _, labels in (train, test):
        if labels.max() > 9:
            raise ValueError(f"{source}: labels must be digits, 0 to 9, got {labels.max()}")
    images, labels = _square(source, train[0], white), train[1].astype(int)
    held_out = np.arange(len(images)) % VALIDATION_EVERY == VALIDATION_EVERY - 1
    return Splits(
        source,
        Digits(images[~held_out], labels[~held_out]),
        Digits(images[held_out], labels[held_out]),
        Digits(_square(source, test[0], white), test[1].astype(int)),
    )


def _square(source: str, pixels: np.ndarray, white: int) -> np.ndarray:
    side = math.isqrt(pixels.shape[1])
    if side**2 != pixels.shape[1]:
        raise ValueError(f"{source}: images must be square, got {pixels.shape[1]} pixels")
    images = pixels.reshape(-1, side, side).astype(np.float32) / white
    factor = max(1, side // SIDE)
    side //= factor
    cropped = images[:, : side * factor, : side * factor]
    return cropped.reshape(-1, side, factor, side, factor).mean(axis=(2, 4))
