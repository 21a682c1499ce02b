"""CIFAR-10 (Krizhevsky 2009) in its binary version: records of a label and 3 x 32 x 32 bytes of red, green, blue."""

from pathlib import Path

import numpy as np

from rnn_jax import files

SIDE, CHANNELS, CLASSES = 32, 3, 10
_RECORD = 1 + CHANNELS * SIDE * SIDE
_SPLITS = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}


def read_images(folder: str | Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads one split of the folder `cifar-10-batches-bin` (https://www.cs.toronto.edu/~kriz/cifar.html).

    Args:
      folder: folder with data_batch_1.bin to data_batch_5.bin and test_batch.bin.
      split: `train` or `test`.

    Returns:
      Images [N, 32, 32, 3] and labels [N], both uint8.

    Raises:
      ValueError: if a file is missing, has no whole number of records, or a label above 9.
    """
    parts = [_read(files.expanded(folder) / name) for name in _SPLITS[split]]
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return images, labels


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = files.read_bytes(path)
    if not content or len(content) % _RECORD:
        raise ValueError(
            f"{path}: must hold CIFAR-10 records of {_RECORD:,} bytes (the binary version), got {len(content):,} bytes"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels, pixels = records[:, 0], records[:, 1:]
    if labels.max() >= CLASSES:
        raise ValueError(f"{path}: labels must be 0 to {CLASSES - 1}, got {labels.max()} in record {labels.argmax()}")
    return np.moveaxis(pixels.reshape(-1, CHANNELS, SIDE, SIDE), 1, -1), labels
