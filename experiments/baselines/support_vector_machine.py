"""Support vector machine on recordings resampled to one length; digits in a row are cut at pauses."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.common.fitting import Baseline
from experiments.common.transcripts import Transcripts

STEPS = 16  # frames that every recording is resampled to
PENALTIES = (1.0, 10.0, 100.0)  # SVC's C; the validation set chooses
THRESHOLDS = (0.1, 0.2, 0.3, 0.4)  # of quiet frames, see `cut`; the validation set chooses
SHORTEST_PAUSE, SHORTEST_DIGIT = 3, 6  # frames

Frames = Sequence[np.ndarray]  # [T, bands] of each recording


def baseline(
    title: str,
    singles: Mapping[str, tuple[Frames, np.ndarray]],
    splits: Mapping[str, tuple[Frames, list[list[int]]]],
    cuts: bool,
) -> Baseline[Transcripts]:
    """Returns the machine fitted to single digits, and its transcripts of the test set.

    Args:
      title: name in records, tables and figures.
      singles: frames and labels of recordings of one digit, training and validation set.
      splits: frames and digits of the recordings to transcribe, validation and test set.
      cuts: whether these have several digits.
    """
    machine = fit(*singles["training"], *singles["validation"])

    def transcripts(split: str, threshold: float | None) -> Transcripts:
        frames, digits = splits[split]
        return Transcripts(digits, [predict(machine, frames, threshold)])

    errors = {t: transcripts("validation", t).label_error_rate for t in (THRESHOLDS if cuts else (None,))}
    chosen = min(errors, key=lambda threshold: float(errors[threshold][0]))
    fields = {"penalty": machine[-1].C, "threshold": chosen}
    return Baseline(title, errors[chosen], transcripts("test", chosen), fields)


def fit(frames: Frames, labels: np.ndarray, validation: Frames, validation_labels: np.ndarray) -> Any:
    """Returns the machine with an RBF kernel whose penalty has the best accuracy on the validation set."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    x, x_validation = features(frames), features(validation)
    machines = [make_pipeline(StandardScaler(), SVC(C=penalty)).fit(x, labels) for penalty in PENALTIES]
    return max(machines, key=lambda machine: float(machine.score(x_validation, validation_labels)))


def features(frames: Frames) -> np.ndarray:
    """Returns 16 frames of each recording by linear interpolation, and its length, [N, 16 bands + 1]."""
    rows = []
    for each in frames:
        places = np.linspace(0, len(each) - 1, STEPS)
        below = np.floor(places).astype(int)
        above, share = np.minimum(below + 1, len(each) - 1), (places - below)[:, None]
        rows.append(np.append(((1 - share) * each[below] + share * each[above]).ravel(), len(each)))
    return np.array(rows)


def predict(machine: Any, frames: Frames, threshold: float | None) -> list[list[int]]:
    """Returns the digits of each recording: one, or with a threshold, one for each segment of `cut`."""
    if threshold is None:
        return [[digit] for digit in machine.predict(features(frames)).tolist()]
    segments = [cut(each, threshold) for each in frames]
    return [machine.predict(features(each)).tolist() if each else [] for each in segments]


def cut(frames: np.ndarray, threshold: float) -> list[np.ndarray]:
    """Returns the segments of at least 6 frames between pauses of at least 3 frames.

    Args:
      frames: frames [T, bands]; their loudness is the mean over bands.
      threshold: loudness up to which a frame is quiet, from 0, the quietest frame, to 1, the loudest.
    """
    loudness = frames.mean(axis=1)
    loud = loudness > loudness.min() + threshold * (loudness.max() - loudness.min())
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]])))
    segments: list[list[int]] = []
    for start, stop in edges.reshape(-1, 2).tolist():
        if segments and start - segments[-1][1] < SHORTEST_PAUSE:
            segments[-1][1] = stop
        else:
            segments.append([start, stop])
    return [frames[start:stop] for start, stop in segments if stop - start >= SHORTEST_DIGIT]
