"""Isolation forest on windows of a series (Liu et al. 2008, doi:10.1109/ICDM.2008.17)."""

import numpy as np

from rnn_jax.data import windows

MAX_WIDTH = 16  # points of a window


def isolation_scores(training: np.ndarray, z: np.ndarray, start: int, stop: int, season: int, seed: int) -> np.ndarray:
    """Returns anomaly scores [N, copies] of the windows that end at each point in [start, stop); 0 elsewhere.

    Args:
      training: series without anomalies to fit the forest to, with its covariates, [M, columns].
      z: series to score, [N, copies, columns].
      start: first point to score.
      stop: end of the points to score.
      season: points in a season; a window has as many, but at most `MAX_WIDTH`.
      seed: seed of the forest.
    """
    from sklearn.ensemble import IsolationForest

    width = min(MAX_WIDTH, season)
    forest = IsolationForest(random_state=seed).fit(_rows(windows(training, width)))
    ending = windows(z[start - width + 1 : stop], width)  # [width, points, copies, columns]
    scores = np.zeros(z.shape[:2])
    scores[start:stop] = -forest.score_samples(_rows(ending)).reshape(ending.shape[1:3])
    return scores


def _rows(windows: np.ndarray) -> np.ndarray:
    """Returns windows [width, ..., columns] as a row each."""
    return np.moveaxis(windows, -1, 1).reshape(windows.shape[0] * windows.shape[-1], -1).T
