"""A profile of the first seconds of a training, after what is compiled at its beginning."""

import threading
from pathlib import Path

import jax

from experiments.common.command_line import UserError


class Profile:
    """Of the whole process, into one folder: `perfetto_trace.json.gz` for ui.perfetto.dev, `.xplane.pb` for XProf.

    Args:
      folder: made where it is not there.
      seconds: how long; the process ends no sooner.
    """

    def __init__(self, folder: Path, seconds: float):
        self.folder = folder
        self._once, self._timer = threading.Lock(), threading.Timer(seconds, jax.profiler.stop_trace)

    def begin(self) -> None:
        """Begins, where it has not begun."""
        if not self._once.acquire(blocking=False):
            return
        try:
            jax.profiler.start_trace(str(self.folder), create_perfetto_trace=True)
        except (RuntimeError, OSError) as error:
            raise UserError(f"--profile: no trace can be written to {str(self.folder)!r}: {error}") from error
        self._timer.start()
