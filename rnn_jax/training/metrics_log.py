"""What a training tells as it goes: a line of JSON at every log point, and TensorBoard's event files."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnn_jax import files


class MetricsLog:
    """`metrics.jsonl` of a folder: {"step": 200, "loss": [seeds], ...}, each log point once.

    Nothing in it depends on when or where it was written: that of a run which was killed and resumed is, byte for byte,
    that of one which was not. NaN and the infinities, which JSON lacks, are strings.

    Args:
      folder: of the run.
      step: that the run is at: later lines, of a run that was killed after them, are taken away.
      tensorboard: whether event files are written too, into `tensorboard/`; needs tensorboardX.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool = False):
        self._path = folder / "metrics.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        files.write(self._path, "".join(f"{line}\n" for line in lines if _is_before(step, line)))
        self._file = self._path.open("a")
        self._board = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Adds a log point: numbers [seeds, ...]."""
        self._file.write(json.dumps({"step": step, **{name: _plain(value) for name, value in values.items()}}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                for seed, number in enumerate(np.asarray(value, float)):
                    if np.ndim(number) == 0:
                        self._board.add_scalar(f"{name}/seed_{seed}", number, step)

    def sync(self) -> None:
        """Until what was written is on the disk: before a checkpoint says that it was."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def _is_before(step: int, line: str) -> bool:
    """Whether it is a whole line, and not of a later step."""
    try:
        return bool(json.loads(line)["step"] <= step)
    except ValueError:  # half a line, the last one of a run that was killed
        return False


def _plain(value: Any) -> Any:
    if np.ndim(value):
        return [_plain(each) for each in value]
    number = np.asarray(value).item()
    return str(number) if isinstance(number, float) and not np.isfinite(number) else number
