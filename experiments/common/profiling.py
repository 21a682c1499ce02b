"""A profile of the first seconds of training, after the programs have been compiled."""

import threading
from pathlib import Path

import jax

from experiments.common.flags import UserError


class Profile:
    """A trace of the whole process: `perfetto_trace.json.gz` for ui.perfetto.dev and `.xplane.pb` for XProf.

    Args:
      folder: folder of the trace, created if missing.
      seconds: length of the trace; the process ends no sooner.
    """

    def __init__(self, folder: Path, seconds: float):
        self.folder = folder
        self._once, self._timer = threading.Lock(), threading.Timer(seconds, jax.profiler.stop_trace)

    def start(self) -> None:
        """Starts the trace, if it has not been started.

        Raises:
          UserError: if the trace cannot be written.
        """
        if not self._once.acquire(blocking=False):
            return
        try:
            jax.profiler.start_trace(str(self.folder), create_perfetto_trace=True)
        except (RuntimeError, OSError) as error:
            raise UserError(f"--profile: no trace can be written to {str(self.folder)!r}: {error}") from error
        self._timer.start()
