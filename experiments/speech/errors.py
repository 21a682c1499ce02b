"""How far what was read is from what was said."""

from collections.abc import Sequence

import numpy as np


def distance(found: Sequence[int], wanted: Sequence[int]) -> int:
    """The least number of labels to be put in, left out or replaced (Levenshtein 1966)."""
    row = np.arange(len(wanted) + 1)
    for place, label in enumerate(found, 1):
        replaced = row[:-1] + (np.array(wanted, int) != label)
        new = [place]
        for candidate, left_out in zip(replaced.tolist(), row[1:].tolist(), strict=True):
            new.append(min(candidate, left_out + 1, new[-1] + 1))
        row = np.array(new)
    return int(row[-1])


def label_error_rate(found: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]) -> float:
    """The sum of all distances over the number of labels that were wanted."""
    total = sum(distance(f, w) for f, w in zip(found, wanted, strict=True))
    return total / sum(len(w) for w in wanted)


def wrong(found: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]) -> float:
    """The share of sequences that are not read exactly."""
    return float(np.mean([list(f) != list(w) for f, w in zip(found, wanted, strict=True)]))
