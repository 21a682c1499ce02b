"""Predicted label sequences and their errors."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Transcripts(NamedTuple):
    """Label sequences, and those that each seed predicts for them."""

    labels: list[list[int]]  # of each example
    predicted: list[list[list[int]]]  # of each example, for each seed

    @property
    def label_error_rate(self) -> np.ndarray:
        """Edit distances over numbers of labels, both summed over the examples [seeds] (Graves et al. 2006)."""
        edits = [sum(map(edit_distance, each, self.labels)) for each in self.predicted]
        return np.array(edits) / sum(map(len, self.labels))

    @property
    def wrong(self) -> np.ndarray:
        """Share of the examples that are not predicted exactly [seeds]."""
        return np.array([np.mean([a != b for a, b in zip(each, self.labels, strict=True)]) for each in self.predicted])


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Returns the least number of insertions, deletions and replacements (Levenshtein 1966)."""
    row = list(range(len(second) + 1))
    for place, label in enumerate(first, 1):
        above, row = row, [place]
        for index, other in enumerate(second):
            row.append(min(above[index] + (label != other), above[index + 1] + 1, row[index] + 1))
    return row[-1]
