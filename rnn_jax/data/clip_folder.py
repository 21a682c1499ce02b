"""Labelled video clips: a folder of images for each clip, and a table of classes of clips or of their frames."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnn_jax import files
from rnn_jax.data.labelled import read_columns, tidy
from rnn_jax.data.pixels import image_paths, read_image
from rnn_jax.data.text import split_name, stated_splits

TABLE = "labels.csv"


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledClips:
    """N clips, and the class of each one or of its frames.

    Args:
      frames: images of each clip, uint8 [T, size, size, 3]; T differs between clips.
      labels: class of each frame, "" if it has none, or a single class of the clip; for each clip.
      by_frame: whether frames have classes.
      parts: split of each clip; None if the table states none.
      places: file of each clip's first row, and its line, for messages.
      left_out: number of folders that the table does not name.
    """

    frames: tuple[np.ndarray, ...]
    labels: tuple[tuple[str, ...], ...]
    by_frame: bool
    parts: tuple[str, ...] | None
    places: tuple[str, ...]
    left_out: int

    @property
    def keys(self) -> list[bytes]:
        """Key of each clip, equal for equal images."""
        return [hashlib.sha256(frames.tobytes()).digest() for frames in self.frames]

    @property
    def names(self) -> list[str]:
        """Class of each clip; "" if frames have classes."""
        return ["" if self.by_frame else label for label, *_ in self.labels]

    def take(self, indices: Sequence[int]) -> "LabelledClips":
        """Returns the clips at `indices`."""
        frames, labels = tuple(self.frames[i] for i in indices), tuple(self.labels[i] for i in indices)
        places = tuple(self.places[i] for i in indices)
        parts = None if self.parts is None else tuple(self.parts[i] for i in indices)
        return LabelledClips(frames, labels, self.by_frame, parts, places, self.left_out)


def is_clip_folder(path: str | Path) -> bool:
    """Returns whether a path is a table, or a folder that holds one."""
    path = files.expanded(path)
    return path.suffix.lower() in (".csv", ".tsv") or (path / TABLE).exists()


def read_labelled_clips(path: str | Path, size: int) -> LabelledClips:
    r"""Reads a table of clips, with a row for each clip, or for each frame if it has a column `frame`.

    The columns are `clip` (a folder of PNG or JPEG images beside the table), `label`, and maybe `frame` (name of an
    image, with or without ending) and `split` (training, validation or test). Images without a row are frames without
    a class. Frames are in the natural order of their names: frame2 is before frame10.

    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from matplotlib import image
    >>> from rnn_jax import data
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("a", "b"):
    ...     (folder / name).mkdir()
    ...     image.imsave(folder / name / "1.png", np.eye(8))
    >>> _ = (folder / "labels.csv").write_text("clip,label\na,walk\nb,run\n")
    >>> clips = data.read_labelled_clips(folder, size=4)
    >>> clips.names, [frames.shape for frames in clips.frames]
    (['walk', 'run'], [(1, 4, 4, 3), (1, 4, 4, 3)])

    Args:
      path: table (.csv or .tsv), or a folder with a `labels.csv`.
      size: height and width that images are resized to.

    Raises:
      ValueError: with the path, and the line if there is one, if the table cannot be read, a row names no folder with
        images or no image of it, a label is empty, a clip or frame comes twice or is in two splits, or an image cannot
        be read.
    """
    path = files.expanded(path)
    table = path / TABLE if path.is_dir() else path
    by_name: dict[str, _Clip] = {}
    by_frame: bool | None = None
    for line, (clip, label, frame, part) in read_columns(table, ("clip", "label"), ("frame", "split")):
        # clip1, ./clip1 and clip1/ are one folder.
        place, name, label = f"{table}, line {line}", clip.strip() and os.path.normpath(clip.strip()), tidy(label)
        by_frame = bool(frame.strip()) if by_frame is None else by_frame
        if not label:
            raise ValueError(f"{place}: must name a class, got an empty label")
        if name not in by_name:
            by_name[name] = _Clip.of(table.parent, name, place, split_name(part, place))
        by_name[name].add(frame.strip(), label, split_name(part, place), place, by_frame)
    if by_frame is None:
        raise ValueError(f"{table}: must name a clip below its header, got the header only")
    clips, places = list(by_name.values()), tuple(clip.place for clip in by_name.values())
    folders = {each.name for each in table.parent.iterdir() if each.is_dir() and not each.name.startswith(".")}
    return LabelledClips(
        tuple(np.stack([read_image(image, size) for image in clip.images]) for clip in clips),
        tuple(
            tuple(clip.labels.get(image, "") for image in clip.images) if by_frame else (clip.labels[None],)
            for clip in clips
        ),
        by_frame,
        stated_splits([clip.part for clip in clips], places),
        places,
        len(folders - {part for name in by_name for part in Path(name).parts[:1]}),
    )


@dataclasses.dataclass
class _Clip:
    """Images of a clip, and its rows read so far."""

    images: list[Path]
    labels: dict[Path | None, str]  # by image; None stands for the clip
    part: str
    place: str

    @classmethod
    def of(cls, folder: Path, name: str, place: str, part: str) -> "_Clip":
        images = image_paths(folder / name) if name and (folder / name).is_dir() else []
        if not images:
            raise ValueError(f"{place}: must name a folder of PNG or JPEG images in {folder}, got {name!r:.80}")
        return cls(images, {}, part, place)

    def add(self, frame: str, label: str, part: str, place: str, by_frame: bool) -> None:
        """Adds a row."""
        if part != self.part:
            raise ValueError(f"{place}: a clip must be in one split, got {part!r} after {self.part!r}")
        if by_frame != bool(frame):
            raise ValueError(f"{place}: must name a frame in each row or in none, got {frame!r}")
        named = [each for each in self.images if frame in (each.name, each.stem)]
        if by_frame and len(named) != 1:
            raise ValueError(f"{place}: must name an image of the clip, as {self.images[0].name}, got {frame!r:.80}")
        image = named[0] if by_frame else None
        if image in self.labels:
            raise ValueError(f"{place}: must name each clip or frame once, got it again")
        self.labels[image] = label
