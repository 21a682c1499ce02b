"""Bigram model of the text itself: no prediction from the last symbol alone has a lower mean loss."""

import numpy as np


def bigram_entropy(codes: np.ndarray, size: int) -> float:
    """Returns the entropy of a symbol given the one before, in nats, by the counts in codes [N] of `size` symbols."""
    counts = np.zeros((size, size))
    np.add.at(counts, (codes[:-1], codes[1:]), 1)
    joint, before = counts / counts.sum(), counts.sum(1, keepdims=True) / counts.sum()
    seen = joint > 0
    return float(-np.sum(joint[seen] * np.log((joint / np.where(before > 0, before, 1))[seen])))
