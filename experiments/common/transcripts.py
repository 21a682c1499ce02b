"""Recordings with label sequences as examples; predicted label sequences and their errors."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import significance, training
from rnn_jax.applications.speech_recognizer import recognize
from rnn_jax.data import Buckets, Examples, pad, unpad
from rnn_jax.models import CTC, Classifier, has_path, label_error_rate

EVALUATED = 64  # recordings at a time


class Split(NamedTuple):
    """Recordings, bucket after bucket; `frames` and `labels` are in this order."""

    buckets: list[Examples]  # steps: frames [T, N, bands], labels [D, N]; whole: lengths [N], numbers of labels [N]
    frames: list[np.ndarray]  # [T, bands] each
    labels: list[list[int]]

    @classmethod
    def of(cls, frames: Sequence[np.ndarray], labels: Sequence[list[int]], lengths: Buckets) -> "Split":
        """Pads recordings to the lengths of their buckets: splits with equal buckets share programs."""
        ids, most = [np.array(each, np.int32) for each in labels], max(map(len, labels))
        buckets, order = list[Examples](), list[int]()
        for length, members in zip(lengths.lengths, lengths.members(list(map(len, frames))), strict=True):
            if len(members):
                padded = pad([frames[i] for i in members], length), pad([ids[i] for i in members], most)
                buckets.append(Examples(*(tuple(map(jnp.asarray, each)) for each in zip(*padded, strict=True))))
                order += members.tolist()
        return cls(buckets, [frames[i] for i in order], [labels[i] for i in order])

    @property
    def without_path(self) -> int:
        """Number of recordings with too few frames for their labels, which have no gradient by CTC."""
        return sum(int(jnp.sum(~has_path(labels, counts, lengths))) for (_, labels), (lengths, counts) in self.buckets)


class Transcripts(NamedTuple):
    """Label sequences, and those that each seed predicts for them."""

    labels: list[list[int]]  # of each example
    predicted: list[list[list[int]]]  # of each example, for each seed

    @property
    def label_error_rate(self) -> np.ndarray:
        """Error rate of the labels over all examples [seeds]."""
        return np.array([label_error_rate(each, self.labels) for each in self.predicted])

    @property
    def wrong(self) -> np.ndarray:
        """Share of the examples that are not predicted exactly [seeds]."""
        return np.mean(~self._right, axis=1)

    @property
    def scored(self) -> significance.Scored:
        """Share of the examples that are predicted exactly, as the main score."""
        return significance.means(self._right)

    @property
    def _right(self) -> np.ndarray:
        pairs = [zip(each, self.labels, strict=True) for each in self.predicted]
        return np.array([[predicted == true for predicted, true in each] for each in pairs])


def predict(model: Classifier | CTC, params: Any, buckets: Sequence[Examples]) -> list[list[list[int]]]:
    """Returns the predicted labels of each recording, for each seed."""
    outputs = [training.predict(model, _predict, params, examples, EVALUATED) for examples in buckets]
    seeds = range(len(outputs[0][1]))
    return [[d.tolist() for labels, counts in outputs for d in unpad(labels[s].T, counts[s])] for s in seeds]


def _predict(model: Classifier | CTC, params: Any, batch: Examples) -> tuple[jax.Array, jax.Array]:
    """Returns the predicted labels of a batch [B, N], and their numbers [B]."""
    (frames, _), (lengths, _) = batch
    return recognize(model, params, frames, lengths)
