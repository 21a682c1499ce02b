"""A user's own clips by split, as arrays: the class of each one, or of each of its frames."""

import dataclasses
import functools
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common import splits
from experiments.common.flags import UserError
from rnn_jax.data import Examples, LabelledClips, pad, read_labelled_clips
from rnn_jax.models.video import NO_LABEL


class Split(NamedTuple):
    """Clips of a split as arrays; M is the number of labelled clips or frames."""

    clips: LabelledClips
    padded: np.ndarray  # classes of the frames [N, T] or clips [N, 1]; NO_LABEL for frames without one
    buckets: list[Examples]  # one; steps: frames [T, N, size, size, 3] and labels [T, N]; whole: length and label [N]

    @property
    def labels(self) -> np.ndarray:
        """Class of each labelled clip or frame [M]."""
        return self.padded[self.padded != NO_LABEL]

    @property
    def order(self) -> np.ndarray:
        """Index of each one [M]."""
        return np.arange(len(self.labels))

    @property
    def pixels(self) -> np.ndarray:
        """Grey values of each labelled frame, or the mean of each clip [M, size * size]."""
        grey = [frames.mean(axis=-1).reshape(len(frames), -1) for frames in self.clips.frames]
        if not self.clips.by_frame:
            return np.array([each.mean(axis=0) for each in grey])
        return np.concatenate([each[self.padded[i, : len(each)] != NO_LABEL] for i, each in enumerate(grey)])


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Data of a run."""

    source: str
    note: str  # first lines of output
    classes: tuple[str, ...]
    splits: dict[str, Split]
    longest: int  # frames of the longest clip

    @property
    def nouns(self) -> str:
        """What has a class."""
        return "frames" if self.splits["training"].clips.by_frame else "clips"


def load(config: splits.SplitFiles, data: str | None, size: int, seed: int) -> Data:
    """Returns the clips of given splits, or of one folder; images are resized.

    Raises:
      UserError: if they cannot be read or split, or another split has a class that the training set lacks.
    """
    source = str(config.train or data)
    read = functools.partial(read_labelled_clips, size=size)
    parts, how = splits.read_folder(config, source, read, "clips", seed)
    classes = tuple(sorted({label for labels in parts["training"].labels for label in labels} - {""}))
    every = [frames for part in parts.values() for frames in part.frames]
    longest, shortest = max(map(len, every)), min(map(len, every))
    if len(classes) < 2:
        raise UserError(f"{source}: training set must have two classes, got {', '.join(classes) or 'none'}")
    made = {name: _split(part, classes, longest, parts["training"].by_frame) for name, part in parts.items()}
    repeated = splits.repeats({name: part.keys for name, part in parts.items()}, bytes)
    nouns = "frame" if parts["training"].by_frame else "clip"
    sizes = ", ".join(f"{len(part.frames):,} {name}" for name, part in parts.items())
    labels = np.concatenate([split.padded.ravel() for split in made.values()])
    unlabelled = sum(label == "" for part in parts.values() for row in part.labels for label in row)
    left_out = max(part.left_out for part in parts.values())
    note = (
        f"{source}: UTF-8, a class of each {nouns}; images resized to {size} x {size} in colour; "
        f"{len(every):,} clips of {shortest} to {longest} frames, {how}: {sizes}.\n"
        f"{len(classes)} classes ({', '.join(classes):.80}), {np.sum(labels != NO_LABEL):,} labels; frames "
        f"without one: {unlabelled:,}; folders without a row: {left_out}. "
        f"{splits.repeats_note(repeated, 'clips')}"
    )
    return Data(source, note, classes, made, longest)


def _split(clips: LabelledClips, classes: tuple[str, ...], longest: int, by_frame: bool) -> Split:
    for place, labels in zip(clips.places, clips.labels, strict=True):
        if unknown := sorted({*labels} - {*classes, ""}):
            raise UserError(f"{place}: class {unknown[0]!r} must be in the training set: {', '.join(classes):.100}")
    if clips.by_frame != by_frame:
        raise UserError(f"{clips.places[0]}: must have a column frame if, and only if, the training set has one")
    ids = [np.array([classes.index(label) if label else NO_LABEL for label in row]) for row in clips.labels]
    padded, frames = pad(ids, longest if by_frame else 1, NO_LABEL).values, pad(clips.frames, longest)
    steps, whole = {"frames": jnp.asarray(frames.values)}, {"length": jnp.asarray(frames.lengths)}
    if by_frame:
        steps["labels"] = jnp.asarray(padded)
    else:
        whole["label"] = jnp.asarray(padded[0])
    return Split(clips, padded.T, [Examples(steps, whole)])
