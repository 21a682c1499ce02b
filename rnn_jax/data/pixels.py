"""Images from files: PNG, JPEG, or NumPy's arrays of one or several."""

import io
import re
from pathlib import Path

import numpy as np

from rnn_jax import files

IMAGES = (".png", ".jpg", ".jpeg")


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


def read_image(path: str | Path, size: int) -> np.ndarray:
    """Reads a PNG or JPEG image, resized to a square, as uint8 [size, size, 3]; transparency is ignored.

    Args:
      path: file with 8 bits for each colour or grey value.
      size: height and width; an image that is not square is stretched.

    Raises:
      ValueError: with the path, if it cannot be read, or has more bits.
    """
    from PIL import Image, ImageOps  # here, to keep `import rnn_jax` fast

    try:
        with Image.open(io.BytesIO(files.read_bytes(path)), formats=("PNG", "JPEG")) as image:
            if image.mode[0] in "IF":
                raise ValueError("must have 8 bits for each value, got 16")
            upright = ImageOps.exif_transpose(image).convert("RGB")
            return np.asarray(upright.resize((size, size), Image.Resampling.BILINEAR))
    except Exception as error:  # Pillow raises nearly anything
        message = str(error) if str(path) in str(error) else f"{path}: must be a PNG or JPEG image: {error}"
        raise ValueError(message) from error


def natural(path: Path) -> list[int | str]:
    """Returns the key of a file's name that sorts frame2 before frame10."""
    return [int(text) if place % 2 else text for place, text in enumerate(re.split("([0-9]+)", path.name.casefold()))]


def image_paths(folder: Path) -> list[Path]:
    """Returns the images of a folder in natural order; hidden files and those of other kinds are left out."""
    return sorted((p for p in folder.iterdir() if p.suffix.lower() in IMAGES and p.name[0] != "."), key=natural)
