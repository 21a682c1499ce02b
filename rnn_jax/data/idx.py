"""IDX files, the format of MNIST: a magic number, the sizes of the axes, then unsigned bytes. Plain or gzip."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

_UNSIGNED_BYTE = 0x08


def read(path: str | Path) -> np.ndarray:
    """Reads one IDX file of unsigned bytes (http://yann.lecun.com/exdb/mnist); gzip is known by its first two bytes.

    Raises:
      ValueError: where the file is missing, unreadable, not IDX, of another element type, or shorter or longer than
        its header says.
    """
    try:
        content = Path(path).read_bytes()
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
            f"{path}: truncated or damaged, an array of shape {shape} takes {start + math.prod(shape):,} bytes, "
            f"got {len(content):,}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_labelled_images(folder: str | Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Images [N, pixels] and labels [N] of one part (`train` or `t10k`) of a folder with MNIST's file names.

    Raises:
      ValueError: where a file is missing or damaged, has the wrong rank, or the two do not hold as many items.
    """
    images_path, labels_path = (
        _locate(folder, f"{part}-images-idx3-ubyte"),
        _locate(folder, f"{part}-labels-idx1-ubyte"),
    )
    images, labels = read(images_path), read(labels_path)
    if images.ndim != 3 or images.size == 0:
        raise ValueError(f"{images_path}: must hold images [N, rows, columns], got shape {images.shape}")
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"{labels_path}: must hold one label for each of {len(images)} images, got shape {labels.shape}"
        )
    return images.reshape(len(images), -1), labels


def _locate(folder: str | Path, name: str) -> Path:
    for candidate in (Path(folder) / name, Path(folder) / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    raise ValueError(f"{Path(folder) / name}: no such file, plain or with .gz")
