"""A classifier of video clips and of each of their frames."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.applications.application import Application, evaluate
from rnn_jax.data import Examples, read_pixels
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
