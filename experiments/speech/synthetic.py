"""Spoken digits that need no download: buzzing vowels whose formants glide, a pattern a digit, a voice a speaker.

They are no speech. What they share with it: a digit is told by how its spectrum moves over time, while pitch, pace and
loudness are the speaker's and the moment's.
"""

import numpy as np

from experiments.speech.recordings import Recording

RATE = 8000
SPEAKERS = ("ann", "ben", "cleo", "dan")
# First and second formant in hertz at the beginning, in the middle and at the end of each digit.
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
    ],
    float,
)
BANDWIDTH = 90.0  # hertz


def recordings(count: int, rng: np.random.Generator) -> list[Recording]:
    """`count` recordings of every digit by every speaker."""
    voices = {name: (rng.uniform(90, 220), rng.uniform(0.85, 1.15)) for name in SPEAKERS}
    return [
        Recording(digit, speaker, number, _spoken(digit, *voices[speaker], rng))
        for digit in range(len(FORMANTS))
        for speaker in SPEAKERS
        for number in range(count)
    ]


def _spoken(digit: int, pitch: float, tract: float, rng: np.random.Generator) -> np.ndarray:
    """Harmonics of a gliding pitch, each as loud as the formants make it at that moment."""
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
