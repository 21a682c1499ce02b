"""A classifier of video clips and of each of their frames."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import files
from rnn_jax.applications.application import Application, evaluate
from rnn_jax.data import Examples, pad, read_image, read_pixels
from rnn_jax.data.pixels import image_paths, natural
from rnn_jax.models import VideoClassifier

BATCH = 100  # clips at a time


class ClipClasses(NamedTuple):
    """Most probable classes of a clip."""

    frames: list[str]  # of each frame but the first
    clip: tuple[str, ...]  # one for each question


@dataclasses.dataclass(frozen=True)
class ClipClassifier(Application):
    """Returns the class of each frame of a clip but the first, and the classes of the clip.

    Args:
      model: classifier of frames with one channel.
      frame_classes: names of the classes of a frame.
      clip_classes: names of the classes of a clip, for each question.
    """

    model: VideoClassifier
    frame_classes: tuple[str, ...]
    clip_classes: tuple[tuple[str, ...], ...]

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> list[ClipClasses]:
        """Returns the classes of clips [N, T, height, width], floats in [0, 1]."""
        clips = np.asarray(inputs)[..., None]
        if clips.ndim != 5 or clips.shape[2:] != self.model.images.shape or clips.shape[1] < 2:
            expected = ", ".join(map(str, self.model.images.shape[:2]))
            raise ValueError(
                f"clips must be [N, T, {expected}], as in training, T at least 2, got shape {[*clips.shape[:-1]]}"
            )
        examples = Examples(jnp.asarray(np.swapaxes(clips, 0, 1)), ())
        frames, *questions = evaluate(self, ClipClassifier.classes, params, examples, BATCH)
        named = [[names[i] for i in each] for names, each in zip(self.clip_classes, questions, strict=True)]
        moves = [[self.frame_classes[i] for i in row] for row in frames]
        return [ClipClasses(row, clip) for row, clip in zip(moves, zip(*named, strict=True), strict=True)]

    def classes(self, params: Any, batch: Examples) -> list[jax.Array]:
        """Returns the classes of the frames [B, T - 1] and of the clip [B, ...] of frames [T, B, height, width, 1]."""
        return most_probable(self.model, params, batch.steps)

    def read(self, path: Any) -> np.ndarray:
        """Returns the clips in a `.npy` file, [T, height, width] or [N, T, height, width]."""
        pixels = read_pixels(path)
        return pixels[None] if pixels.ndim == 3 else pixels

    def lines(self, inputs: Any, answers: Any) -> Sequence[str]:
        return ["\t".join([*clip, " ".join(frames)]) for frames, clip in answers]


def most_probable(model: VideoClassifier, params: Any, frames: jax.Array) -> list[jax.Array]:
    """Returns the most probable classes of all frames but the first [B, T - 1], and of the clips [B] by question."""
    logits = model.apply(params, frames, key=None)
    return [jnp.argmax(each, axis=-1) for each in (jnp.swapaxes(logits.frames[1:], 0, 1), *logits.clip)]


@dataclasses.dataclass(frozen=True)
class FrameFolderClassifier(Application):
    """Returns the class of each frame of a clip, or that of the clip.

    Args:
      model: classifier of frames with three channels that are square; with classes of frames, or one question.
      labels: names of the classes.
    """

    model: VideoClassifier
    labels: tuple[str, ...]

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> list[list[str]]:
        """Returns the classes of clips, each uint8 [T, size, size, 3]: one, or one for each frame."""
        padded = pad(inputs)
        examples = Examples({"frames": jnp.asarray(padded.values)}, {"length": jnp.asarray(padded.lengths)})
        predicted = evaluate(self, FrameFolderClassifier.classes, params, examples, BATCH)
        return [[self.labels[i] for i in row[: len(clip)]] for row, clip in zip(predicted, inputs, strict=True)]

    def classes(self, params: Any, batch: Examples) -> jax.Array:
        """Returns the classes of the frames [B, T], or of the clips [B, 1]."""
        return frame_or_clip_classes(self.model, params, batch)

    def read(self, path: Any) -> list[np.ndarray]:
        """Returns the clip in a folder of images, or the clips in its folders, in the natural order of their names."""
        folder = files.expanded(path)
        if not folder.is_dir():
            raise ValueError(f"{path}: must be a folder of PNG or JPEG images, got no folder")
        folders = sorted((p for p in folder.iterdir() if p.is_dir() and p.name[0] != "."), key=natural)
        clips = [images for each in [folder, *folders] if (images := image_paths(each))]
        if not clips:
            raise ValueError(f"{path}: must hold PNG or JPEG images, or folders of them, got none")
        return [np.stack([read_image(image, self.model.images.shape[0]) for image in images]) for images in clips]

    def lines(self, inputs: Any, answers: Any) -> Sequence[str]:
        return [" ".join(labels) if self.model.frame_classes else labels[0] for labels in answers]


def frame_or_clip_classes(model: VideoClassifier, params: Any, batch: Examples) -> jax.Array:
    """Returns the most probable classes of the frames [B, T], or else of the clips [B, 1].

    Args:
      model: classifier with classes of frames, or one question about clips.
      params: its parameters.
      batch: steps: frames, uint8 [T, B, size, size, 3]; whole: length [B].
    """
    logits = model.apply(params, batch.steps["frames"] / jnp.float32(255), batch.whole["length"], key=None)
    by_clip = logits.clip[0][None] if logits.frames is None else logits.frames
    return jnp.argmax(by_clip, axis=-1).T
