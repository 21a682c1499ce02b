"""Video: convolutions see every frame, a recurrent core the order of the frames; frames and the clip get classes."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.cell import Cell, Params
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models.image_encoder import ImageEncoder
from rnn_jax.models.labels import nats
from rnn_jax.unrolling import unroll

NO_LABEL = -1  # of a frame


class VideoClassifierParams(NamedTuple):
    """Parameters of the convolutions, of the dense layer on their maps, of the cell, of both readouts."""

    images: Any
    features: Any  # flax.linen.Dense variables, as the readouts
    cell: Params  # () without a cell
    frames: Any
    clip: tuple[Any, ...]  # of each question


class VideoLogits(NamedTuple):
    """Of each frame and of each clip."""

    frames: jax.Array  # [T, B, frame_classes]
    clip: tuple[jax.Array, ...]  # of each question [B, classes]


@dataclasses.dataclass(frozen=True)
class VideoClassifier:
    """Frames x_t to a class of every frame (aligned many-to-many) and to classes of the clip (many-to-one).

        M_t = convolutions(x_t) [h, w, F],   f_t = relu([vec(M_t), max over places of M_t] W + b)
        y_1 .. y_T = cell(f_1 .. f_T),   p(frame t) = softmax(y_t V + c),   p(clip)_q = softmax(mean_t(y_t) U_q + d_q)

    The map tells where something is, its maximum what it is wherever it is. A clip may be asked several questions.

    The long-term recurrent convolutional network of Donahue et al. 2015 (arXiv:1411.4389), trained as one, with a mean
    of features where they have one of predictions. Without a cell y_t = f_t: a network that sees every frame, and no
    order. Compares and hashes by value.

    Args:
      images: sees a frame.
      features: of f_t.
      cell: any cell or layer that reads f_t; None: no recurrence.
      frame_classes: of a frame.
      clip_classes: of a clip, for each question.

    Raises:
      TypeError: where a part is not what it should be.
      ValueError: where a number is not positive, or the cell does not read as many features as a frame has.
    """

    images: ImageEncoder
    features: int
    cell: Cell | None
    frame_classes: int
    clip_classes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.images, ImageEncoder):
            raise TypeError(f"VideoClassifier: images must be an ImageEncoder, got {self.images!r}")
        if not isinstance(self.cell, Cell | None):
            raise TypeError(f"VideoClassifier: cell must be a cell, a layer or None, got {self.cell!r}")
        checks.integer_at_least(1, self.features, "VideoClassifier: features")
        checks.integer_at_least(1, self.frame_classes, "VideoClassifier: frame_classes")
        if not isinstance(self.clip_classes, tuple):
            raise TypeError(f"VideoClassifier: clip_classes must be a tuple of integers, got {self.clip_classes!r}")
        for classes in self.clip_classes:
            checks.integer_at_least(1, classes, "VideoClassifier: clip_classes")
        if self.cell is not None and self.cell.input_size != self.features:
            raise ValueError(
                f"VideoClassifier: cell must read the {self.features} features of a frame, got "
                f"{type(self.cell).__name__} of input_size {self.cell.input_size}"
            )

    def init(self, key: jax.Array) -> VideoClassifierParams:
        key_images, key_features, key_cell, key_frames, key_clip = jax.random.split(key, 5)
        height, width, maps = self.images.map_shape
        size = self.features if self.cell is None else self.cell.output_size
        read = jnp.zeros(size)
        return VideoClassifierParams(
            self.images.init(key_images),
            nn.Dense(self.features).init(key_features, jnp.zeros((height * width + 1) * maps)),
            () if self.cell is None else self.cell.init(key_cell),
            nn.Dense(self.frame_classes).init(key_frames, read),
            tuple(
                nn.Dense(classes).init(key, read)
                for classes, key in zip(
                    self.clip_classes, jax.random.split(key_clip, len(self.clip_classes)), strict=True
                )
            ),
        )

    def apply(
        self,
        params: VideoClassifierParams,
        frames: Any,
        *,
        engine: Engine = Hoisted(),
        key: jax.Array | None = None,
    ) -> VideoLogits:
        """The logits of every frame and of every clip.

        Args:
          params: from `init`.
          frames: floats [T, B, height, width, channels], T at least 1.
          engine: how the recurrence is solved.
          key: of the cell's noise; None means evaluation.

        Raises:
          TypeError, ValueError: as `ImageEncoder.apply` and `rnn_jax.unroll`; where frames are not a batch of clips.
        """
        if jnp.ndim(frames) != 5 or not jnp.shape(frames)[0]:
            wanted = ", ".join(map(str, self.images.shape))
            raise ValueError(
                f"VideoClassifier: frames must be [T, B, {wanted}] with T of at least 1, got shape "
                f"{list(jnp.shape(frames))}"
            )
        seen = self.images.apply(params.images, frames)
        flat = jnp.concatenate([seen.reshape(*seen.shape[:2], -1), jnp.max(seen, axis=(2, 3))], axis=-1)
        dense: Any = nn.Dense(self.features).apply(params.features, flat)
        ys = features = nn.relu(dense)
        if self.cell is not None:
            _, ys = unroll(self.cell, params.cell, features, engine=engine, key=key)
        of_frames: Any = nn.Dense(self.frame_classes).apply(params.frames, ys)
        mean = jnp.mean(ys, axis=0)
        of_clip: Any = tuple(
            nn.Dense(classes).apply(each, mean) for classes, each in zip(self.clip_classes, params.clip, strict=True)
        )
        return VideoLogits(of_frames, of_clip)

    def loss(
        self,
        params: VideoClassifierParams,
        frames: Any,
        frame_labels: Any,
        clip_labels: Sequence[Any],
        *,
        engine: Engine = Hoisted(),
        key: jax.Array | None = None,
    ) -> jax.Array:
        """-mean log p(label of a frame) - sum_q mean log p(label of the clip)_q, in nats.

        Args:
          params: as `apply`'s.
          frames: likewise.
          frame_labels: integers [T, B] in [0, frame_classes); a frame with -1 has none, and does not count.
          clip_labels: for each question integers [B] in [0, its classes).
          engine: as `apply`'s.
          key: likewise.

        Raises:
          TypeError, ValueError: as `apply`; where labels are not integers, of another shape, or one that can be read is
            out of range. Where labels are traced, such a one makes the loss NaN.
        """
        logits = self.apply(params, frames, engine=engine, key=key)
        of_frames = nats("VideoClassifier: frame_labels", logits.frames, frame_labels, NO_LABEL)
        if len(clip_labels) != len(self.clip_classes):
            raise ValueError(
                f"VideoClassifier: clip_labels must answer {len(self.clip_classes)} questions, got {len(clip_labels)}"
            )
        labelled = jnp.sum(jnp.asarray(frame_labels) != NO_LABEL)
        loss = jnp.sum(of_frames) / jnp.maximum(labelled, 1)
        for each, labels in zip(logits.clip, clip_labels, strict=True):
            loss += jnp.mean(nats("VideoClassifier: clip_labels", each, labels))
        return loss
