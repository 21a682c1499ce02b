"""Real images as sequences of pixels, classified after the last one."""

import dataclasses
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.data import idx
from rnn_jax.tasks.task import Batch, Classification


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class PixelSequences(Classification):
    """Images as sequences of one pixel per step, row by row (Le, Jaitly & Hinton 2015), classified at the last step.

    Pixels are scaled to [0, 1].

    Baseline: guessing, ln(classes) nats. Solved (criterion of this project): 90 % accuracy on the test set.

    Args:
      train_images: images of the training set, integers [N, T].
      train_labels: labels of the training set, integers [N].
      test_images: images of the test set, integers [N, T].
      test_labels: labels of the test set, integers [N].
      classes: number of classes.
      scale: largest pixel value.
      source: name of the data set and of the order of its pixels.
    """

    train_images: jax.Array = dataclasses.field(repr=False)
    train_labels: jax.Array = dataclasses.field(repr=False)
    test_images: jax.Array = dataclasses.field(repr=False)
    test_labels: jax.Array = dataclasses.field(repr=False)
    classes: int = dataclasses.field(metadata={"static": True})
    scale: float = dataclasses.field(metadata={"static": True})
    source: str = dataclasses.field(metadata={"static": True})

    @property
    def variant(self) -> str:
        return self.source

    @property
    def length(self) -> int:
        return self.sequence_length

    @property
    def input_size(self) -> int:
        return 1

    @property
    def output_size(self) -> int:
        return self.classes

    @property
    def sequence_length(self) -> int:
        return self.train_images.shape[1]

    @property
    def dependency(self) -> int:
        return self.sequence_length - 1

    @property
    def baseline(self) -> float:
        return math.log(self.classes)

    @property
    def test_size(self) -> int:
        return self.test_images.shape[0]

    def sequence(self, key: jax.Array) -> Batch:
        index = jax.random.randint(key, (), 0, self.train_images.shape[0])
        return self._as_sequence(self.train_images[index], self.train_labels[index])

    def test_batch(self, key: jax.Array, index: jax.Array, batch_size: int) -> Batch:
        del key  # the test set is fixed
        indices = index * batch_size + jnp.arange(batch_size)
        clipped = jnp.minimum(indices, self.test_size - 1)
        batch = jax.vmap(self._as_sequence, out_axes=1)(self.test_images[clipped], self.test_labels[clipped])
        return batch._replace(weights=batch.weights * (indices < self.test_size)[None])

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["accuracy"] >= 0.9

    def _as_sequence(self, image: jax.Array, label: jax.Array) -> Batch:
        steps = jnp.arange(self.sequence_length)
        return Batch(
            inputs=image[:, None] / self.scale,
            targets=jnp.full(self.sequence_length, label),
            weights=(steps == self.sequence_length - 1).astype(jnp.result_type(float)),
        )


def digits(*, permuted: bool = False) -> PixelSequences:
    """Returns the task of scikit-learn's handwritten digits: 1,797 real images (UCI) of 8 x 8 pixels, 64 steps.

    1,437 images are for training and 360 for testing, in a fixed random split, stratified by class.

    >>> import jax, rnn_jax
    >>> task = rnn_jax.digits()
    >>> task.sample(jax.random.key(0), batch_size=32).inputs.shape, task.test_size
    ((64, 32, 1), 360)

    Args:
      permuted: whether to read the pixels in a fixed random order, the same for every image.
    """
    x_train, x_test, y_train, y_test = split_digits()
    return _pixels(x_train, y_train, x_test, y_test, scale=16.0, name="scikit-learn 8x8", permuted=permuted)


def split_digits() -> tuple[np.ndarray, ...]:
    """Returns scikit-learn's digits: training and test images [N, 64], training and test labels [N]."""
    from sklearn import datasets, model_selection  # imported here: it takes longer than all of `import rnn_jax`

    images, labels = datasets.load_digits(return_X_y=True)
    return tuple(model_selection.train_test_split(images, labels, test_size=360, random_state=0, stratify=labels))


def mnist(folder: str | Path | None, *, permuted: bool = False) -> PixelSequences:
    """Returns the task of MNIST (LeCun et al. 1998) from its four IDX files: images of 28 x 28 pixels, 784 steps.

    60,000 images are for training and 10,000 for testing.

    Args:
      folder: folder with train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
        t10k-labels-idx1-ubyte, each plain or with .gz.
      permuted: whether to read the pixels in a fixed random order, the same for every image.

    Raises:
      ValueError: with the name of the file, if it is missing or corrupt or does not match the others.
    """
    if folder is None:
        raise ValueError("mnist: requires the folder of its four IDX files (--mnist=FOLDER), got none")
    (x_train, y_train), (x_test, y_test) = (idx.read_labelled_images(folder, split) for split in ("train", "t10k"))
    if x_train.shape[1] != x_test.shape[1]:
        raise ValueError(
            f"{folder}: train and t10k images must be of one size, got {x_train.shape[1]} and {x_test.shape[1]} pixels"
        )
    return _pixels(x_train, y_train, x_test, y_test, scale=255.0, name="MNIST", permuted=permuted)


def _pixels(
    x_train: np.ndarray,
    y_train: np.ndarray,
    x_test: np.ndarray,
    y_test: np.ndarray,
    *,
    scale: float,
    name: str,
    permuted: bool,
) -> PixelSequences:
    if permuted:
        # NumPy guarantees the stream of RandomState, so the order is the same in every version.
        order = np.random.RandomState(0).permutation(x_train.shape[1])
        x_train, x_test = x_train[:, order], x_test[:, order]
    return PixelSequences(
        train_images=jnp.asarray(x_train, jnp.uint8),
        train_labels=jnp.asarray(y_train, jnp.int32),
        test_images=jnp.asarray(x_test, jnp.uint8),
        test_labels=jnp.asarray(y_test, jnp.int32),
        classes=int(y_train.max()) + 1,
        scale=scale,
        source=f"{name}, permuted" if permuted else f"{name}, rows",
    )
