"""Images from files: PNG, or NumPy's arrays of one or several."""

import io
from pathlib import Path

import numpy as np

from rnn_jax import files


def read_pixels(path: str | Path) -> np.ndarray:
    """Reads the grey values of a PNG image [height, width], or of an array [..., height, width] in a `.npy` file.

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "clip.npy"
    >>> np.save(path, np.full((5, 8, 8), 51, np.uint8))  # five frames
    >>> pixels = data.read_pixels(path)
    >>> pixels.shape, round(float(pixels.max()), 3)
    ((5, 8, 8), 0.2)

    Args:
      path: file; colours are averaged, transparency is ignored.

    Returns:
      Floats in [0, 1], 0 for black.

    Raises:
      ValueError: with the path, if it cannot be read, or its values are neither integers from 0 to 255 nor in [0, 1].
    """
    content, suffix = io.BytesIO(files.read_bytes(path)), Path(path).suffix.lower()
    try:
        if suffix == ".npy":
            pixels = np.load(content, allow_pickle=False)
        else:
            from matplotlib import image  # imported here to keep `import rnn_jax` fast

            pixels = image.imread(content, format="png")
            pixels = pixels[..., :3].mean(axis=-1, dtype=pixels.dtype) if pixels.ndim == 3 else pixels
    except Exception as error:  # both raise nearly anything
        raise ValueError(f"{path}: must be a PNG image or a .npy file of numbers: {error}") from error
    if pixels.ndim < 2 or not (np.issubdtype(pixels.dtype, np.floating) or pixels.dtype == np.uint8):
        raise ValueError(f"{path}: must be floats or uint8 [..., height, width], got {pixels.dtype}{[*pixels.shape]}")
    scaled = pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)
    if not (pixels.size and 0 <= scaled.min() <= scaled.max() <= 1):
        raise ValueError(f"{path}: grey values must be in [0, 1], or 0 to 255 as uint8")
    return scaled
