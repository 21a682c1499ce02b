"""Labelled recordings: a folder of WAV files for each class, such as commands or emotions."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax import files
from rnn_jax.data.audio import read_wav
from rnn_jax.data.labelled import tidy


class LabelledSounds(NamedTuple):
    """N recordings and the class of each one.

    Attributes:
      samples: samples of each recording, float32 [n] in [-1, 1]; n differs between recordings.
      labels: index into `classes` of each recording, int32 [N].
      classes: names of the classes, sorted.
      rate: sampling rate in hertz.
      places: file of each recording, for messages.
    """

    samples: tuple[np.ndarray, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    rate: int
    places: tuple[str, ...]

    @property
    def keys(self) -> list[bytes]:
        """Key of each recording, equal for equal samples."""
        return [digest(samples) for samples in self.samples]

    @property
    def names(self) -> list[str]:
        """Class of each recording."""
        return [self.classes[label] for label in self.labels]

    @property
    def parts(self) -> None:
        """Split of each recording, which folders of sounds do not state."""

    def take(self, indices: Sequence[int] | np.ndarray) -> "LabelledSounds":
        """Returns the recordings at `indices`, with the same classes."""
        samples, places = tuple(self.samples[i] for i in indices), tuple(self.places[i] for i in indices)
        return self._replace(samples=samples, labels=self.labels[np.asarray(indices, int)], places=places)


def has_class_folders(folder: str | Path) -> bool:
    """Returns whether a folder holds folders, and no WAV file beside them."""
    folder = files.expanded(folder)
    return folder.is_dir() and any(map(Path.is_dir, _visible(folder))) and not any(folder.glob("*.wav"))


def read_labelled_sounds(folder: str | Path) -> LabelledSounds:
    """Reads the mono WAV files of a folder's folders, each of which has the name of a class.

    >>> import pathlib, tempfile
    >>> import numpy as np, scipy.io.wavfile
    >>> from rnn_jax import data
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("calm", "angry"):
    ...     (folder / name).mkdir()
    ...     scipy.io.wavfile.write(folder / name / "1.wav", 8000, np.zeros(100, np.int16))
    >>> sounds = data.read_labelled_sounds(folder)
    >>> sounds.classes, sounds.labels.tolist(), sounds.rate
    (('angry', 'calm'), [0, 1], 8000)

    Args:
      folder: path of the folder.

    Returns:
      The recordings, class after class.

    Raises:
      ValueError: with the path, if there is no such folder, it has fewer than two folders, one of them holds no WAV
        file or anything else, a file has another rate than the first, or `read_wav` rejects it.
    """
    folder = files.expanded(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder")
    samples, places, labels, rate = list[np.ndarray](), list[str](), list[int](), 0
    folders = [path for path in _visible(folder) if path.is_dir()]
    classes = sorted({tidy(each.name) for each in folders})
    if len(classes) < 2:
        raise ValueError(
            f"{folder}: must hold a folder of WAV files for each class, got {', '.join(classes) or 'none'}"
        )
    for each in folders:
        paths = _visible(each)
        for path in paths:
            if path.suffix.lower() != ".wav" or path.is_dir():
                raise ValueError(f"{path}: a folder of class {tidy(each.name)!r} must hold WAV files only")
            read, rate = read_wav(path, rate or None)
            samples.append(read)
            places.append(str(path))
        if not paths:
            raise ValueError(f"{each}: must hold WAV files of class {tidy(each.name)!r}, got none")
        labels += [classes.index(tidy(each.name))] * len(paths)
    return LabelledSounds(tuple(samples), np.array(labels, np.int32), tuple(classes), rate, tuple(places))


def digest(samples: np.ndarray) -> bytes:
    """Returns a key that recordings share if their samples are equal."""
    return hashlib.sha256(samples.tobytes()).digest()


def _visible(folder: Path) -> list[Path]:
    """Returns the content of a folder without hidden files, whose names begin with a dot."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
