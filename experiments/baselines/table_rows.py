"""Anomaly scores of a table's rows without recurrence: isolation forest, frequencies of cells and of neighbours."""

from collections.abc import Sequence

import numpy as np

from rnn_jax.data.number_table import number
from rnn_jax.data.table_rows import Row, RowTokens


def isolation(tokens: RowTokens, training: Sequence[Row], rows: Sequence[Row], seed: int) -> np.ndarray:
    """Returns the scores [N] of an isolation forest on one-hot categories and numbers, missing ones at the median."""
    from sklearn.ensemble import IsolationForest

    def numbers(some: Sequence[Row]) -> np.ndarray:
        cells = [[number(cell, "point") for cell in row[len(tokens.categories) :]] for row in some]
        return np.array(cells, float).reshape(len(some), -1)

    medians = np.nan_to_num(np.nanmedian(numbers(training), axis=0)) if tokens.numbers else np.zeros(0)
    one_hot = np.eye(sum(tokens.sizes))[:, : sum(tokens.sizes[: len(tokens.categories)])]

    def features(some: Sequence[Row]) -> np.ndarray:
        values = numbers(some)
        categories = one_hot[tokens.encode(some)[:, : len(tokens.categories)]].sum(axis=1)
        return np.column_stack([categories, np.where(np.isnan(values), medians, values)])

    return -IsolationForest(random_state=seed).fit(features(training)).score_samples(features(rows))


def frequencies(training: np.ndarray, ids: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Returns -log p of rows of ids [N, columns], columns independent; counts plus one (Laplace)."""
    counts = np.bincount(training.ravel(), minlength=sum(sizes)) + 1
    return np.sum(np.log(len(training) + np.asarray(sizes)) - np.log(counts[ids]), axis=1)


def neighbours(training: np.ndarray, ids: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Returns -log p of rows of ids, each column given the one before; counts plus one."""
    scores = frequencies(training[:, :1], ids[:, :1], sizes[:1])
    for column in range(1, len(sizes)):
        pairs = np.ones((sum(sizes), sum(sizes)))
        np.add.at(pairs, (training[:, column - 1], training[:, column]), 1)
        before = np.bincount(training[:, column - 1], minlength=sum(sizes)) + sizes[column]
        scores += np.log(before[ids[:, column - 1]]) - np.log(pairs[ids[:, column - 1], ids[:, column]])
    return scores
