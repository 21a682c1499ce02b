"""Spoken digits: synthetic ones, splits by number or by speaker, and several joined to one recording."""

from collections.abc import Sequence

import numpy as np

from rnn_jax.data import SpokenDigit
from rnn_jax.data.text import SPLITS

TEST, VALIDATION = range(5), range(5, 10)  # numbers of a speaker's recordings of a digit; the dataset gives TEST
DIGITS_JOINED = (3, 7)  # fewest and most digits of a joined recording
PAUSE = 0.15  # seconds between two of them, at most
RATE = 8000  # samples per second of synthetic recordings
SPEAKERS = ("ann", "ben", "cleo", "dan")  # of synthetic recordings
BANDWIDTH = 90.0  # of a formant, in hertz
# First and second formant of each synthetic digit in hertz, at the start, in the middle and at the end.
FORMANTS = np.array(
    [
        [[300, 2200], [500, 900], [350, 800]],
        [[350, 700], [600, 1100], [300, 1500]],
        [[300, 1800], [320, 900], [320, 800]],
        [[450, 1300], [350, 2000], [300, 2300]],
        [[550, 800], [500, 850], [450, 1300]],
        [[700, 1200], [550, 1700], [350, 2100]],
        [[350, 2100], [400, 1900], [300, 1600]],
        [[550, 1800], [450, 1200], [500, 1400]],
        [[400, 2100], [450, 1900], [350, 2300]],
        [[650, 1100], [450, 1900], [300, 1300]],
    ]
)

Spoken = tuple[list[int], np.ndarray]  # digits and samples of a recording


def synthetic(count: int, rng: np.random.Generator) -> list[SpokenDigit]:
    """Returns `count` recordings of every digit by every speaker: vowels whose two formants glide, no speech."""
    voices = {name: (rng.uniform(90, 220), rng.uniform(0.85, 1.15)) for name in SPEAKERS}
    digits, numbers = range(len(FORMANTS)), range(count)
    return [SpokenDigit(d, s, n, _samples(d, *voices[s], rng)) for d in digits for s in SPEAKERS for n in numbers]


def _samples(digit: int, pitch: float, tract: float, rng: np.random.Generator) -> np.ndarray:
    """Returns the sum of the harmonics of a gliding pitch, each as loud as the formants make it at that time."""
    size = round(RATE * rng.uniform(0.25, 0.5))
    time = np.linspace(0, 1, size)
    formants = FORMANTS[digit] * tract * rng.normal(1, 0.04, (3, 2))
    moving = np.stack([np.interp(time, [0, 0.5, 1], formants[:, i]) for i in range(2)])
    hertz = pitch * rng.normal(1, 0.05) * (1 - 0.15 * time)
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    samples = np.zeros(size)
    for harmonic in range(1, int(RATE / 2 / hertz.max())):
        distance = (harmonic * hertz - moving) / BANDWIDTH
        samples += np.sum(1 / (1 + distance**2), axis=0) / harmonic**0.5 * np.sin(harmonic * phase)
    samples *= np.sin(np.pi * time) ** 0.3 * rng.uniform(0.1, 0.3)
    return (samples + 0.01 * rng.standard_normal(size)).astype(np.float32)


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
