"""The metrics log of a training: a line of JSON at every log point, and TensorBoard event files."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnn_jax import files


class MetricsLog:
    """Writes `metrics.jsonl`: {"step": 200, "loss": [one number per seed], ...}, one line for each log point.

    The file does not depend on when or on which machine it was written: a run that was killed and resumed leaves the
    same bytes as one that was not. NaN and infinities, which JSON lacks, are strings.

    Args:
      folder: folder of the run.
      step: step at which the run starts or resumes; later lines, from before it was killed, are removed.
      tensorboard: whether to write event files into `tensorboard/` as well, which needs tensorboardX.
    """

    def __init__(self, folder: Path, step: int, tensorboard: bool = False):
        self._path = folder / "metrics.jsonl"
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else []
        files.write(self._path, "".join(f"{line}\n" for line in lines if _is_up_to(step, line)))
        self._file = self._path.open("a", encoding="utf-8", newline="\n")
        self._board = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, values: Mapping[str, np.ndarray]) -> None:
        """Appends a log point with values [seeds, ...] by name; event files have those that are [seeds]."""
        self._file.write(json.dumps({"step": step, **{name: _plain(value) for name, value in values.items()}}) + "\n")
        self._file.flush()
        if self._board is not None:
            for name, value in values.items():
                for seed, number in enumerate(np.asarray(value, float)):
                    if np.ndim(number) == 0:
                        self._board.add_scalar(f"{name}/seed_{seed}", number, step)

    def sync(self) -> None:
        """Waits until all lines are on disk; a checkpoint of the same step is saved only then."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()


def _is_up_to(step: int, line: str) -> bool:
    """Returns whether a line is complete and of no later step."""
    try:
        return bool(json.loads(line)["step"] <= step)
    except ValueError:  # the last line of a run that was killed while it wrote
        return False


def _plain(value: Any) -> Any:
    """Returns numbers and nested lists, as JSON has them."""
    if np.ndim(value):
        return [_plain(each) for each in value]
    number = np.asarray(value).item()
    return str(number) if isinstance(number, float) and not np.isfinite(number) else number
