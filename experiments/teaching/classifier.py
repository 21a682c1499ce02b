"""The sequence classifier: random sequences with random labels, as the tutorials have it.

No label has anything to do with its sequence. What is learnt can only be which sequence had which: the accuracy on the
training data says how many of them the network remembers, and on fresh data, drawn alike, it is that of a coin.
"""

import dataclasses
from typing import Any

import numpy as np

from experiments.teaching.program import Scores, accuracy

EXAMPLES = 1000
LENGTH = 5
FEATURES = 10
CLASSES = 2


@dataclasses.dataclass(frozen=True, eq=False)
class SequenceClassifier:
    """Standard normal sequences, and labels that a coin gave them. Make it by `drawn`."""

    name = "classifier"
    title = "Sequence classifier"

    xs: np.ndarray  # float32 [T, N, F]
    labels: np.ndarray  # int32 [N]
    fresh_xs: np.ndarray  # as many, that nobody trains on
    fresh_labels: np.ndarray

    @classmethod
    def drawn(cls, seed: int) -> "SequenceClassifier":
        rng = np.random.default_rng([seed, 0])
        parts: list[np.ndarray] = []
        for _ in ("training", "fresh"):
            parts.append(rng.standard_normal((LENGTH, EXAMPLES, FEATURES), np.float32))
            parts.append(rng.integers(0, CLASSES, EXAMPLES, np.int32))
        return cls(*parts)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        return EXAMPLES, LENGTH, FEATURES, CLASSES

    def batch(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.xs[:, places], self.labels[places]

    def findings(self, scores: Scores) -> dict[str, Any]:
        return {
            "training/accuracy": accuracy(scores, self.xs, self.labels),
            "fresh/accuracy": accuracy(scores, self.fresh_xs, self.fresh_labels),
        }
