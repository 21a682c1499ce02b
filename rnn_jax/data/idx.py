"""IDX files, the format of MNIST: a magic number, the sizes of the axes, then unsigned bytes; plain or gzipped."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from rnn_jax import files

_UNSIGNED_BYTE = 0x08


def read(path: str | Path) -> np.ndarray:
    """Reads one IDX file of unsigned bytes (http://yann.lecun.com/exdb/mnist).

    >>> import pathlib, tempfile
    >>> from rnn_jax.data import idx
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "t10k-labels-idx1-ubyte"
    >>> _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1]))  # unsigned bytes, one axis of 3
    >>> idx.read(path).tolist()
    [7, 2, 1]

    Args:
      path: file, plain or gzipped; gzip is recognised by its first two bytes.

    Returns:
      The array, uint8, of the shape in the header.

    Raises:
      ValueError: if the file is missing, unreadable, not IDX, of another element type, or shorter or longer than its
        header requires.
    """
    content = files.read_bytes(path)
    try:
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: cannot be read as an IDX file ({error})") from error
    if len(content) < 4 or content[:2] != b"\0\0":
        raise ValueError(f"{path}: not an IDX file, it must begin with two zero bytes, got {content[:4].hex()}")
    element, rank = content[2], content[3]
    if element != _UNSIGNED_BYTE:
        raise ValueError(f"{path}: elements must be unsigned bytes (type 0x08), got type {element:#04x}")
    start = 4 + 4 * rank
    if len(content) < start:
        raise ValueError(f"{path}: truncated inside its header of {start} bytes, got {len(content)}")
    shape = struct.unpack(f">{rank}I", content[4:start])
    if len(content) != start + math.prod(shape):
        raise ValueError(
            f"{path}: truncated or corrupt, an array of shape {shape} takes {start + math.prod(shape):,} bytes, "
            f"got {len(content):,}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_labelled_images(folder: str | Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Reads one split of a folder with MNIST's file names.

    Args:
      folder: folder that holds the files, each plain or with .gz.
      split: `train` or `t10k`.

    Returns:
      Images [N, pixels] and labels [N], both uint8.

    Raises:
      ValueError: if a file is missing or corrupt, has the wrong rank, or the numbers of images and labels differ.
    """
    folder = files.expanded(folder)
    images_path = _locate(folder, f"{split}-images-idx3-ubyte")
    labels_path = _locate(folder, f"{split}-labels-idx1-ubyte")
    images, labels = read(images_path), read(labels_path)
    if images.ndim != 3 or images.size == 0:
        raise ValueError(f"{images_path}: must hold images [N, rows, columns], got shape {images.shape}")
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"{labels_path}: must hold one label for each of {len(images)} images, got shape {labels.shape}"
        )
    return images.reshape(len(images), -1), labels


def _locate(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise ValueError(f"{folder / name}: no such file, plain or with .gz")
