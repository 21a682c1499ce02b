"""Captioned images: a folder of images, and a table of captions."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnn_jax import files
from rnn_jax.data.labelled import read_columns, tidy
from rnn_jax.data.pairs import Words, words
from rnn_jax.data.pixels import image_paths, read_image
from rnn_jax.data.text import split_name, stated_splits

TABLES = ("captions.csv", "captions.txt")
FOLDERS = ("", "Images", "images")  # beside the table, where images may be


@dataclasses.dataclass(frozen=True, eq=False)
class CaptionedImages:
    """N images and the captions of each one.

    Args:
      images: uint8 [size, size, 3] each.
      captions: words of one or several captions, for each image.
      parts: split of each image; None if the table states none.
      places: file of each image's first row, and its line, for messages.
      left_out: number of images that the table does not name.
    """

    images: tuple[np.ndarray, ...]
    captions: tuple[tuple[Words, ...], ...]
    parts: tuple[str, ...] | None
    places: tuple[str, ...]
    left_out: int

    @property
    def keys(self) -> list[bytes]:
        """Key of each image, equal for equal pixels."""
        return [hashlib.sha256(image.tobytes()).digest() for image in self.images]

    @property
    def names(self) -> list[str]:
        """Class of each image, the same for all."""
        return ["images"] * len(self.images)

    def take(self, indices: Sequence[int]) -> "CaptionedImages":
        """Returns the images at `indices`."""
        images, captions = tuple(self.images[i] for i in indices), tuple(self.captions[i] for i in indices)
        parts = None if self.parts is None else tuple(self.parts[i] for i in indices)
        return CaptionedImages(images, captions, parts, tuple(self.places[i] for i in indices), self.left_out)


def is_caption_folder(path: str | Path) -> bool:
    """Returns whether a path is a table, or a folder that holds one."""
    path = files.expanded(path)
    return path.suffix.lower() in (".csv", ".tsv", ".txt") or any((path / name).exists() for name in TABLES)


def read_captioned_images(path: str | Path, size: int) -> CaptionedImages:
    r"""Reads a table with the columns `image`, `caption` and maybe `split`, a row for each caption.

    Images are PNG or JPEG files beside the table or in its folder `Images`, as those of Flickr8k. All captions of an
    image are in one split. Captions become words as by `rnn_jax.data.words`.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from matplotlib import image
    >>> from rnn_jax import data
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> image.imsave(folder / "1.png", np.eye(8))
    >>> _ = (folder / "captions.txt").write_text("image,caption\n1.png,A diagonal.\n1.png,A line\n")
    >>> data.read_captioned_images(folder, size=4).captions
    ((('a', 'diagonal', '.'), ('a', 'line')),)

    Args:
      path: table, or a folder with a `captions.csv` or `captions.txt`.
      size: height and width that images are resized to.

    Raises:
      ValueError: with the path, and the line if there is one, if the table cannot be read, a row names no image or one
        that is in two folders, a caption is empty, an image is in two splits or in some rows only, or an image cannot
        be read.
    """
    path = files.expanded(path)
    tables = [path / name for name in TABLES if (path / name).exists()] if path.is_dir() else [path]
    table = tables[0] if tables else path / TABLES[0]
    folders = [table.parent / name for name in FOLDERS if (table.parent / name).is_dir()]
    present: dict[str, list[Path]] = {}
    for folder in {os.stat(each).st_ino: each for each in folders}.values():  # Images may be images
        for each in image_paths(folder):
            present.setdefault(each.name, []).append(each)
    captions, parts, places = dict[str, list[Words]](), dict[str, str](), dict[str, str]()
    for line, (image, caption, part) in read_columns(table, ("image", "caption"), ("split",)):
        place, name = f"{table}, line {line}", image.strip()
        if name not in present:
            raise ValueError(f"{place}: must name a PNG or JPEG image in {table.parent}, got {name!r:.80}")
        if len(present[name]) > 1:
            raise ValueError(f"{place}: must name one image, got {' and '.join(map(str, present[name]))}; remove one")
        if not tidy(caption):
            raise ValueError(f"{place}: must hold a caption, got an empty one")
        split = split_name(part, place)
        if parts.setdefault(name, split) != split:
            raise ValueError(f"{place}: an image must be in one split, got {split!r} after {parts[name]!r}")
        captions.setdefault(name, []).append(words(caption))
        places.setdefault(name, place)
    if not captions:
        raise ValueError(f"{table}: must hold a caption below its header, got the header only")
    return CaptionedImages(
        tuple(read_image(present[name][0], size) for name in captions),
        tuple(map(tuple, captions.values())),
        stated_splits([*parts.values()], [*places.values()]),
        tuple(places.values()),
        len(present) - len(captions),
    )
