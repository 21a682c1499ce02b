"""Synthetic spoken digits: vowels whose two formants glide, no speech."""

import numpy as np

from rnn_jax.data.spoken_digits import SpokenDigit

RATE = 8000  # samples per second
SPEAKERS = ("ann", "ben", "cleo", "dan")
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


def synthetic_digits(count: int, rng: np.random.Generator) -> tuple[list[SpokenDigit], int]:
    """Returns recordings of every digit by four speakers, each with a pitch and a length of the vocal tract.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> recordings, rate = data.synthetic_digits(2, np.random.default_rng(0))
    >>> len(recordings), rate, recordings[0].digit, recordings[0].speaker
    (80, 8000, 0, 'ann')

    Args:
      count: number of recordings of each digit by each speaker.
      rng: generator that draws voices and recordings.

    Returns:
      The recordings, and the sampling rate in hertz, as `read_spoken_digits`.
    """
    voices = {name: (rng.uniform(90, 220), rng.uniform(0.85, 1.15)) for name in SPEAKERS}
    digits, numbers = range(len(FORMANTS)), range(count)
    recordings = [SpokenDigit(d, s, n, _samples(d, *voices[s], rng)) for d in digits for s in SPEAKERS for n in numbers]
    return recordings, RATE


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
