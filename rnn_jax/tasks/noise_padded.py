"""Images row by row, then noise: remember a picture's class over a long stretch of nothing."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks
from rnn_jax.data import cifar
from rnn_jax.tasks.pixels import PixelSequences, split_digits
from rnn_jax.tasks.task import Batch


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class NoisePadded(PixelSequences):
    """Noise-padded images as in Chang et al. 2019 (AntisymmetricRNN, arXiv:1902.09689).

    Inputs: the rows of an image, one a step, pixels scaled to [0, 1], then standard normal noise up to T steps, drawn
    anew for each sequence. Target at the last step: the class. In the paper CIFAR-10, rows of 96 values (32 pixels of
    three colours), T = 1,000.

    Baseline: guessing, ln(classes) nats. Solved (criterion of this project): 90 % accuracy on the test set. The
    paper's table 2, CIFAR-10: LSTM 11.6 %, antisymmetric 48.3 %, with a gate 54.7 %.

    Args:
      rows: number of rows of an image.
      steps: number of steps, T.
    """

    rows: int = dataclasses.field(metadata={"static": True})
    steps: int = dataclasses.field(metadata={"static": True})

    def __post_init__(self) -> None:
        checks.integer_at_least(self.rows, self.steps, f"{self.source}: length", " steps, one for each row")

    @property
    def input_size(self) -> int:
        return self.train_images.shape[1] // self.rows

    @property
    def sequence_length(self) -> int:
        return self.steps

    def sequence(self, key: jax.Array) -> Batch:
        key_image, key_noise = jax.random.split(key)
        batch = super().sequence(key_image)
        return batch._replace(inputs=self._padded(batch.inputs, key_noise))

    def test_batch(self, key: jax.Array, index: jax.Array, batch_size: int) -> Batch:
        batch = super().test_batch(key, index, batch_size)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(index * batch_size + jnp.arange(batch_size))
        return batch._replace(inputs=jax.vmap(self._padded, (1, 0), 1)(batch.inputs, keys))

    def _padded(self, pixels: jax.Array, key: jax.Array) -> jax.Array:
        """Returns the rows of pixels [rows * features, 1] and noise, [T, features]."""
        noise = jax.random.normal(key, (self.steps - self.rows, self.input_size))
        return jnp.concatenate([jnp.reshape(pixels, (self.rows, self.input_size)), noise])


def noise_padded_digits(length: int) -> NoisePadded:
    """Returns the task of scikit-learn's digits: eight rows of eight pixels, then noise.

    Args:
      length: number of steps, T.

    Raises:
      ValueError: if T < 8.
    """
    return _task(split_digits(), 16.0, "scikit-learn 8x8, then noise", 8, length)


def noise_padded_cifar(length: int, folder: str | Path | None) -> NoisePadded:
    """Returns the task of CIFAR-10, 50,000 training and 10,000 test images.

    Args:
      length: number of steps, T.
      folder: folder of the binary version's six files.

    Raises:
      ValueError: if T < 32, or the folder is missing or a file of it is corrupt.
    """
    if folder is None:
        raise ValueError(
            "cifar_noise_padded: requires the folder of CIFAR-10's six .bin files (--cifar=FOLDER), got none"
        )
    (x_train, y_train), (x_test, y_test) = (cifar.read_images(folder, split) for split in ("train", "test"))
    arrays = (x_train.reshape(len(x_train), -1), x_test.reshape(len(x_test), -1), y_train, y_test)
    return _task(arrays, 255.0, "CIFAR-10, then noise", cifar.SIDE, length)


def _task(arrays: tuple[np.ndarray, ...], scale: float, source: str, rows: int, length: int) -> NoisePadded:
    x_train, x_test, y_train, y_test = arrays
    return NoisePadded(
        train_images=jnp.asarray(x_train, jnp.uint8),
        train_labels=jnp.asarray(y_train, jnp.int32),
        test_images=jnp.asarray(x_test, jnp.uint8),
        test_labels=jnp.asarray(y_test, jnp.int32),
        classes=int(y_train.max()) + 1,
        scale=scale,
        source=source,
        rows=rows,
        steps=length,
    )
