"""A session: the folder of a training, its messages, and the event that stops it."""

import dataclasses
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self


def _ignore(_: Any) -> None:
    pass


@dataclasses.dataclass(frozen=True)
class Session:
    """One sitting of a training. By default nothing is saved, nothing is reported and nothing stops it.

    Args:
      folder: folder of this training alone, for its checkpoints and metrics, from which it resumes; None: no folder.
      config: everything that determines the training, as JSON values. A training resumes only with an equal config.
      checkpoint_seconds: least number of seconds between two checkpoints.
      keep: number of most recent checkpoints to keep, in addition to the one with the least loss.
      tensorboard: whether to write TensorBoard event files as well.
      advance: function called at every log point with the number of steps since the last one.
      report: function called with each message, a sentence. If it or `advance` raises an OSError, as `print` on a full
        disk does, the training warns once and continues.
      stop: event; once it is set, the training saves a checkpoint at the next log point and returns None.
    """

    folder: Path | str | None = None
    config: Any = None
    checkpoint_seconds: float = 30.0
    keep: int = 3
    tensorboard: bool = False
    advance: Callable[[int], None] = _ignore
    report: Callable[[str], None] = _ignore
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)

    def tolerant(self) -> Self:
        """Returns the session with functions whose first OSError is a warning; later ones are ignored."""
        failed = threading.Event()

        def tolerate(call: Callable[[Any], None]) -> Callable[[Any], None]:
            def tolerant(value: Any) -> None:
                try:
                    call(value)
                except OSError as error:
                    if not failed.is_set():
                        failed.set()
                        message = f"messages cannot be written ({error.strerror}); training continues without them"
                        warnings.warn(message, RuntimeWarning, stacklevel=3)

            return tolerant

        return dataclasses.replace(self, advance=tolerate(self.advance), report=tolerate(self.report))
