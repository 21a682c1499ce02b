"""Spoken digits: splits by number or by speaker, and several joined to one recording."""

from collections.abc import Sequence

import numpy as np

from rnn_jax.data import SpokenDigit
from rnn_jax.data.text import SPLITS

TEST, VALIDATION = range(5), range(5, 10)  # numbers of a speaker's recordings of a digit; the dataset gives TEST
DIGITS_JOINED = (3, 7)  # fewest and most digits of a joined recording
PAUSE = 0.15  # seconds between two of them, at most

Spoken = tuple[list[int], np.ndarray]  # digits and samples of a recording


def split(recordings: Sequence[SpokenDigit], speaker: str | None = None) -> dict[str, list[SpokenDigit]]:
    """Returns recordings by split: those of the speaker, or numbers 0 to 4, test; 5 to 9 validate; the others train.

    Raises:
      ValueError: if a split is empty.
    """
    splits: dict[str, list[SpokenDigit]] = {name: [] for name in SPLITS}
    for each in recordings:
        tested = each.number in TEST if speaker is None else each.speaker == speaker
        splits["test" if tested else "validation" if each.number in VALIDATION else "training"].append(each)
    if empty := [name for name in SPLITS if not splits[name]]:
        raise ValueError(f"no recording for the {empty[0]} set: numbers 0 to 4 test, 5 to 9 validate, others train")
    return splits


def join(recordings: Sequence[SpokenDigit], count: int, rate: int, rng: np.random.Generator) -> list[Spoken]:
    """Returns `count` recordings of 3 to 7 digits by one speaker, with pauses up to 0.15 s and faint noise."""
    speakers, longest, joined = sorted({each.speaker for each in recordings}), round(PAUSE * rate), []
    for _ in range(count):
        speaker = speakers[rng.integers(len(speakers))]
        available = [each for each in recordings if each.speaker == speaker]
        size = rng.integers(*DIGITS_JOINED, endpoint=True)
        chosen = [available[index] for index in rng.integers(len(available), size=size)]
        segments = [np.zeros(rng.integers(longest, endpoint=True), np.float32)]
        for each in chosen:
            segments += [each.samples, np.zeros(rng.integers(longest, endpoint=True), np.float32)]
        silent = np.concatenate(segments)
        # Real silence is noisy: without noise, exact zeros would mark the pauses.
        noisy = silent + 1e-3 * rng.standard_normal(len(silent))
        joined.append(([each.digit for each in chosen], noisy.astype(np.float32)))
    return joined
