"""Video: convolutions encode every frame, a recurrent core reads their order; frames and the clip get classes."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax import checks, integers, masking, noise, parameters
from rnn_jax.cell import Cell, Params
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models import dense
from rnn_jax.models.image_encoder import ImageEncoder
from rnn_jax.models.labels import cross_entropy
from rnn_jax.static import Static
from rnn_jax.unrolling import unroll

NO_LABEL = -1  # label of a frame without a class


class VideoClassifierParams(NamedTuple):
    """Parameters of the convolutions, of the dense layer on their maps, of the cell, and of both readouts."""

    images: Any
    features: Any  # flax.linen.Dense variables, like the readouts
    cell: Params  # () without a cell
    frames: Any
    clip: tuple[Any, ...]  # one for each question


class VideoLogits(NamedTuple):
    """Logits of each frame and of each clip."""

    frames: Any  # [T, B, frame_classes]; None if frames have no classes
    clip: tuple[jax.Array, ...]  # [B, classes] for each question


@dataclasses.dataclass(frozen=True)
class VideoClassifier(Static):
    """Predicts a class of every frame x_t (aligned many-to-many) and classes of the clip (many-to-one).

        M_t = convolutions(x_t) [h, w, F],   f_t = relu([vec(M_t), max over positions of M_t] W + b)
        y_1 .. y_T = cell(f_1 .. f_T),   p(frame t) = softmax(y_t V + c),   p(clip)_q = softmax(mean_t(y_t) U_q + d_q)

    The map keeps the positions of objects; its maximum does not depend on them. Each question q about a clip has
    its own classes. This is the long-term recurrent convolutional network of Donahue et al. 2015 (arXiv:1411.4389),
    trained end to end, with a mean of features in place of their mean of predictions. Without a cell y_t = f_t: a
    network that ignores the order of the frames. Compares and hashes by value.

    Args:
      images: encoder of a frame.
      features: number of features of f_t.
      cell: cell or layer that reads f_t; None: no recurrence.
      frame_classes: number of classes of a frame; 0 if frames have none.
      clip_classes: number of classes of a clip, for each question.

    Raises:
      TypeError: if an argument has the wrong type.
      ValueError: if a number is not positive, or the cell's input_size is not `features`.
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
        checks.integer_at_least(0, self.frame_classes, "VideoClassifier: frame_classes")
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
        outputs = jnp.zeros(self.features if self.cell is None else self.cell.output_size)
        keys = jax.random.split(key_clip, len(self.clip_classes))
        return VideoClassifierParams(
            self.images.init(key_images),
            dense.init(key_features, self.features, jnp.zeros((height * width + 1) * maps)),
            () if self.cell is None else self.cell.init(key_cell),
            dense.init(key_frames, self.frame_classes, outputs) if self.frame_classes else (),
            tuple(dense.init(key, classes, outputs) for classes, key in zip(self.clip_classes, keys, strict=True)),
        )

    def apply(
        self,
        params: VideoClassifierParams,
        frames: Any,
        lengths: Any = None,
        *,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> VideoLogits:
        """Computes the logits of every frame and of every clip.

        Args:
          params: parameters from `init`.
          frames: floats [T, B, height, width, channels], T at least 1.
          lengths: number of frames of each clip, integers [B] from 1 to T; None means T.
          engine: solver of the recurrence.
          key: random key of the cell's noise, required if there is some; None means evaluation.

        Returns:
          The logits of the frames [T, B, frame_classes], and of the clips, [B, classes] for each question.

        Raises:
          TypeError, ValueError: as `ImageEncoder.apply` and `rnn_jax.unroll`; if frames are not a batch of clips.
        """
        parameters.check(self, params)
        if jnp.ndim(frames) != 5 or not jnp.shape(frames)[0]:
            expected = ", ".join(map(str, self.images.shape))
            raise ValueError(
                f"VideoClassifier: frames must be [T, B, {expected}] with T of at least 1, got shape "
                f"{list(jnp.shape(frames))}"
            )
        maps = self.images.apply(params.images, frames)
        flat = jnp.concatenate([maps.reshape(*maps.shape[:2], -1), jnp.max(maps, axis=(2, 3))], axis=-1)
        ys = features = nn.relu(dense.apply(params.features, self.features, flat))
        if self.cell is not None:
            _, ys = unroll(self.cell, params.cell, features, lengths=lengths, engine=engine, key=key)
        if lengths is None:
            mean = jnp.mean(ys, axis=0)
        else:
            lengths = jnp.asarray(integers.int32(lengths, "VideoClassifier: lengths"))
            valid = masking.before_end(lengths, len(ys))[..., None]  # without a cell, features of padding are not zero
            mean = jnp.sum(jnp.where(valid, ys, 0), axis=0) / lengths.astype(ys.dtype)[:, None]
        questions = zip(params.clip, self.clip_classes, strict=True)
        return VideoLogits(
            dense.apply(params.frames, self.frame_classes, ys) if self.frame_classes else None,
            tuple(dense.apply(readout, classes, mean) for readout, classes in questions),
        )

    def loss(
        self,
        params: VideoClassifierParams,
        frames: Any,
        frame_labels: Any,
        clip_labels: Sequence[Any],
        lengths: Any = None,
        *,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> jax.Array:
        """Returns -mean log p(label of a frame) - sum_q mean log p(label of the clip)_q, in nats.

        Args:
          params: parameters from `init`.
          frames: clips, as in `apply`.
          frame_labels: integers [T, B] in [0, frame_classes), or -1 for a frame without a class, which is ignored;
            None if no frame has one.
          clip_labels: for each question, integers [B] in [0, its number of classes).
          lengths: number of frames of each clip, as in `apply`; frames beyond it must have the label -1.
          engine: solver of the recurrence.
          key: random key, as in `apply`.

        Raises:
          TypeError, ValueError: as `apply`; if labels are not integers, have another shape, or are out of range. Traced
            labels out of range make the loss NaN.
        """
        logits = self.apply(params, frames, lengths, engine=engine, key=key)
        if len(clip_labels) != len(self.clip_classes):
            raise ValueError(
                f"VideoClassifier: clip_labels must answer {len(self.clip_classes)} questions, got {len(clip_labels)}"
            )
        if (logits.frames is None) != (frame_labels is None):
            raise ValueError("VideoClassifier: frame_labels must be None if, and only if, frame_classes is 0")
        loss = jnp.zeros(())
        if logits.frames is not None:
            frame_nats = cross_entropy("VideoClassifier: frame_labels", logits.frames, frame_labels, NO_LABEL)
            labelled = jnp.sum(integers.int32(frame_labels, "VideoClassifier: frame_labels") != NO_LABEL)
            loss = jnp.sum(frame_nats) / jnp.maximum(labelled, 1)
        for clip_logits, labels in zip(logits.clip, clip_labels, strict=True):
            loss += jnp.mean(cross_entropy("VideoClassifier: clip_labels", clip_logits, labels))
        return loss
