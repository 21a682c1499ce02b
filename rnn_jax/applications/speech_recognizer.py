"""A recogniser of the words in a recording."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.applications.application import Application, evaluate
from rnn_jax.data import Examples, LogMel, pad, read_wav
from rnn_jax.models import CTC, Classifier

BATCH = 64  # recordings at a time
STEP = 16  # recordings are padded to a multiple of so many frames, so that there are few programs


@dataclasses.dataclass(frozen=True)
class SpeechRecognizer(Application):
    """Returns the labels of each recording: one by a classifier, any number by CTC.

    Args:
      model: network of standardised log-mel frames.
      mel: computes the frames.
      mean: mean of each band in the training set.
      deviation: standard deviation of each band there.
      labels: names of the labels.
    """

    model: Classifier | CTC
    mel: LogMel
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    labels: tuple[str, ...]

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> list[list[str]]:
        """Returns the labels of recordings, a list of samples [n] in [-1, 1] at the rate of `mel`."""
        frames = [self.frames(samples) for samples in inputs]
        padded = pad(frames, -(-max(map(len, frames)) // STEP) * STEP)
        examples = Examples(jnp.asarray(padded.values), jnp.asarray(padded.lengths))
        predicted = evaluate(self, SpeechRecognizer.recognized, params, examples, BATCH)
        return [[self.labels[i] for i in row[:count]] for row, count in zip(*predicted, strict=True)]

    def frames(self, samples: np.ndarray) -> np.ndarray:
        """Returns the standardised frames [T, bands] of a recording."""
        frames = self.mel(samples)
        return (frames - np.asarray(self.mean, frames.dtype)) / np.asarray(self.deviation, frames.dtype)

    def recognized(self, params: Any, batch: Examples) -> tuple[jax.Array, jax.Array]:
        """Returns the labels [B, N] of a batch of frames, and their numbers [B]."""
        return recognize(self.model, params, batch.steps, batch.whole)

    def read(self, path: Any) -> list[np.ndarray]:
        """Returns the samples of a mono WAV file of the rate of the training set."""
        return [read_wav(path, self.mel.rate)[0]]

    def lines(self, inputs: Any, answers: Any) -> Sequence[str]:
        return [" ".join(labels) for labels in answers]


def recognize(
    model: Classifier | CTC, params: Any, frames: jax.Array, lengths: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns the labels [B, N] of frames [T, B, bands], and their numbers [B]; label d is CTC's d + 1."""
    if isinstance(model, Classifier):
        best = jnp.argmax(model.apply(params, frames, lengths, key=None), axis=-1)
        return best[:, None], jnp.ones_like(best)
    labels, counts = model.decode(params, frames, lengths)
    return (labels - 1).T, counts
