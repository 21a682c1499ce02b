"""Recordings of spoken digits: read from a folder, split by number or by speaker, and joined to longer ones."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax.data import read_wav

NAMED = re.compile(r"(\d)_([^_]+)_(\d+)\.wav")
TEST, VALIDATION = range(5), range(5, 10)  # numbers of a speaker's recordings of a digit; the rest is to learn from
DIGITS_JOINED = (3, 7)  # in one longer recording, at the least and at the most
PAUSE = 0.15  # seconds between two of them at the most; at the least none


class Recording(NamedTuple):
    """One spoken digit."""

    digit: int
    speaker: str
    number: int  # of this speaker's recordings of this digit
    samples: np.ndarray  # float32 [n]


class Joined(NamedTuple):
    """Digits of one speaker, one after the other."""

    digits: list[int]
    samples: np.ndarray


class Parts(NamedTuple):
    """A split."""

    training: list[Recording]
    validation: list[Recording]
    test: list[Recording]


def read_folder(folder: str | Path) -> tuple[list[Recording], int]:
    """The files {digit}_{speaker}_{number}.wav of a folder, as the Free Spoken Digit Dataset has them, and their rate.

    Raises:
      ValueError: with the path, where there is no such folder or file, or one is no mono WAV, or of another rate than
        the first.
    """
    if not Path(folder).is_dir():
        raise ValueError(f"{folder}: no such folder")
    named = [(path, NAMED.fullmatch(path.name)) for path in sorted(Path(folder).glob("*.wav"))]
    found, rate = [], None
    for path, name in named:
        if name is None:
            raise ValueError(f"{path}: must be named {{digit}}_{{speaker}}_{{number}}.wav, as 7_theo_12.wav")
        samples, rate = read_wav(path, rate)
        found.append(Recording(int(name[1]), name[2], int(name[3]), samples))
    if rate is None:
        raise ValueError(f"{folder}: must hold files {{digit}}_{{speaker}}_{{number}}.wav, got none")
    return found, rate


def by_number(recordings: Sequence[Recording]) -> Parts:
    """The dataset's own split: of a speaker's recordings of a digit 0 to 4 test; of the others 5 to 9 validate here.

    Raises:
      ValueError: where a part is empty.
    """
    return _checked(
        Parts(
            [r for r in recordings if r.number not in TEST and r.number not in VALIDATION],
            [r for r in recordings if r.number in VALIDATION],
            [r for r in recordings if r.number in TEST],
        )
    )


def by_speaker(recordings: Sequence[Recording], speaker: str) -> Parts:
    """All of one speaker's are the test part; of the others the recordings 5 to 9 validate.

    Raises:
      ValueError: where a part is empty.
    """
    others = [r for r in recordings if r.speaker != speaker]
    return _checked(
        Parts(
            [r for r in others if r.number not in VALIDATION],
            [r for r in others if r.number in VALIDATION],
            [r for r in recordings if r.speaker == speaker],
        )
    )


def join(recordings: Sequence[Recording], count: int, rate: int, rng: np.random.Generator) -> list[Joined]:
    """`count` longer recordings, each of 3 to 7 digits of one speaker with pauses of 0 to 0.15 s and faint noise.

    Args:
      recordings: of one part: what is joined of the test part has no recording of the training part in it.
      count: how many.
      rate: samples a second.
      rng: draws speakers, digits and pauses.
    """
    of_speaker: dict[str, list[Recording]] = {}
    for recording in recordings:
        of_speaker.setdefault(recording.speaker, []).append(recording)
    speakers, found = sorted(of_speaker), []
    for _ in range(count):
        own = of_speaker[speakers[rng.integers(len(speakers))]]
        chosen = [own[i] for i in rng.integers(len(own), size=rng.integers(DIGITS_JOINED[0], DIGITS_JOINED[1] + 1))]
        pieces = [np.zeros(rng.integers(round(PAUSE * rate) + 1), np.float32)]
        for recording in chosen:
            pieces += [recording.samples, np.zeros(rng.integers(round(PAUSE * rate) + 1), np.float32)]
        samples = np.concatenate(pieces)
        # Silence as it is recorded: without it a pause could be told by its exact zeros.
        noise = 1e-3 * rng.standard_normal(len(samples))
        found.append(Joined([recording.digit for recording in chosen], (samples + noise).astype(np.float32)))
    return found


def _checked(parts: Parts) -> Parts:
    for name, part in parts._asdict().items():
        if not part:
            raise ValueError(
                f"the split leaves no recording to the {name} part: it goes by the numbers of a speaker's recordings "
                f"of a digit, 0 to 4 and 5 to 9 and the rest"
            )
    return parts
