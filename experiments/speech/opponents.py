"""The opponent: a support vector machine on recordings brought to one length; longer ones are cut where it is quiet."""

from collections.abc import Sequence

import numpy as np
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

STEPS = 16  # frames that every recording is brought to
GRID = (1.0, 10.0, 100.0)  # of the penalty C
QUIETEST = (0.1, 0.2, 0.3, 0.4)  # shares of the way from the quietest to the loudest frame
SHORTEST_PAUSE, SHORTEST_DIGIT = 3, 6  # frames


def fit(
    frames: Sequence[np.ndarray], labels: np.ndarray, validation: Sequence[np.ndarray], answers: np.ndarray
) -> Pipeline:
    """The machine (RBF kernel) whose penalty is best on the validation part."""
    x, x_validation = features(frames), features(validation)
    machines = [make_pipeline(StandardScaler(), SVC(C=c)).fit(x, labels) for c in GRID]
    return max(machines, key=lambda machine: float(machine.score(x_validation, answers)))


def features(frames: Sequence[np.ndarray]) -> np.ndarray:
    """Of each recording 16 frames, interpolated between its own, and how many it has; [N, 16 bands + 1]."""
    rows = []
    for each in frames:
        places = np.linspace(0, len(each) - 1, STEPS)
        below = np.floor(places).astype(int)
        above, share = np.minimum(below + 1, len(each) - 1), (places - below)[:, None]
        rows.append(np.append(((1 - share) * each[below] + share * each[above]).ravel(), len(each)))
    return np.array(rows)


def cut(frames: np.ndarray, quiet: float) -> list[np.ndarray]:
    """What stands between pauses of 3 frames and more, where it is 6 frames long at the least.

    Args:
      frames: [T, bands].
      quiet: a frame is one of a pause where its mean over the bands is below this share of the way from the least to
        the greatest.
    """
    loudness = frames.mean(axis=1)
    loud = loudness > loudness.min() + quiet * (loudness.max() - loudness.min())
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]])))
    pieces: list[list[int]] = []
    for start, stop in edges.reshape(-1, 2).tolist():
        if pieces and start - pieces[-1][1] < SHORTEST_PAUSE:
            pieces[-1][1] = stop
        else:
            pieces.append([start, stop])
    return [frames[start:stop] for start, stop in pieces if stop - start >= SHORTEST_DIGIT]


def read(machine: Pipeline, frames: Sequence[np.ndarray], quiet: float) -> list[list[int]]:
    """The digits of longer recordings, each piece classified."""
    found = []
    for each in frames:
        pieces = cut(each, quiet)
        found.append(machine.predict(features(pieces)).tolist() if pieces else [])
    return found
