"""A session: the folder of a training, its messages, and the event that stops it."""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


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
      report: function called with each message, a sentence.
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
