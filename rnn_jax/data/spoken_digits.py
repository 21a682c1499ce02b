"""Recordings of single digits: read from a folder, split by number or by speaker, joined to several digits in a row."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax import files
from rnn_jax.data.audio import read_wav
from rnn_jax.data.text import SPLITS

TEST, VALIDATION = range(5), range(5, 10)  # numbers of a speaker's recordings of a digit; the dataset gives TEST
DIGITS_JOINED = (3, 7)  # fewest and most digits of a joined recording
PAUSE = 0.15  # seconds between two of them, at most
_NAME = re.compile(r"(\d)_([^_]+)_(\d+)\.wav")


class SpokenDigit(NamedTuple):
    """A recording of one digit."""

    digit: int
    speaker: str
    number: int  # among the speaker's recordings of this digit
    samples: np.ndarray  # float32 [n]


def read_spoken_digits(folder: str | Path) -> tuple[list[SpokenDigit], int]:
    """Reads the files {digit}_{speaker}_{number}.wav of a folder, such as those of the Free Spoken Digit Dataset.

    Args:
      folder: path of the folder.

    Returns:
      The recordings, and their sampling rate in hertz.

    Raises:
      ValueError: with the path, if there is no such folder or file, or a file has another name or another rate than the
        first, or `read_wav` rejects it.
    """
    folder = files.expanded(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    recordings, rate = [], None
    for path in sorted(folder.glob("*.wav")):
        if (name := _NAME.fullmatch(path.name)) is None:
            raise ValueError(f"{path}: must be named {{digit}}_{{speaker}}_{{number}}.wav, as 7_theo_12.wav")
        samples, rate = read_wav(path, rate)
        recordings.append(SpokenDigit(int(name[1]), name[2], int(name[3]), samples))
    if rate is None:
        raise ValueError(f"{folder}: must hold files {{digit}}_{{speaker}}_{{number}}.wav, got none")
    return recordings, rate


def split_spoken_digits(recordings: Sequence[SpokenDigit], speaker: str | None = None) -> dict[str, list[SpokenDigit]]:
    """Splits recordings: those of the speaker, or numbers 0 to 4, test; 5 to 9 validate; the others train.

    Args:
      recordings: recordings.
      speaker: speaker who is in no other split; None splits the recordings of every speaker by number.

    Returns:
      The recordings by split.

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


def check_speakers(splits: Mapping[str, Sequence[SpokenDigit]]) -> None:
    """Raises a ValueError if a split has no recording of a speaker of another one, who could not be identified."""
    speakers = {name: {each.speaker for each in split} for name, split in splits.items()}
    for name, present in speakers.items():
        if missing := sorted(set.union(*speakers.values()) - present):
            raise ValueError(
                f"speaker {missing[0]!r} must have recordings in each split, got none for the {name} set: numbers 0 to "
                "4 test, 5 to 9 validate, others train"
            )


def join_spoken_digits(
    recordings: Sequence[SpokenDigit], count: int, rate: int, rng: np.random.Generator
) -> list[tuple[list[int], np.ndarray]]:
    """Returns recordings of 3 to 7 digits by one speaker, with pauses up to 0.15 s and faint noise.

    Args:
      recordings: recordings of single digits.
      count: number of joined recordings.
      rate: sampling rate in hertz.
      rng: generator that draws speakers, digits, pauses and noise.

    Returns:
      The digits of each joined recording, and its samples, float32 [n].
    """
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
