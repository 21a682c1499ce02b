"""Predicted label sequences and their errors."""

from typing import NamedTuple

import numpy as np

from rnn_jax.models import label_error_rate


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
        return np.array([np.mean([a != b for a, b in zip(each, self.labels, strict=True)]) for each in self.predicted])
