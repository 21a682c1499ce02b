"""What surrounds a training: who is told of it, what ends it, where it is kept."""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _nobody(_: Any) -> None:
    pass


@dataclasses.dataclass(frozen=True)
class Session:
    """Of one training. By default nobody is told, nothing ends it, and nothing is kept.

    Args:
      folder: of the training alone, where its checkpoints and metrics are kept, and where it goes on from; None:
        nowhere.
      made_by: all that the training follows from, as JSON has it: what is in the folder goes on only with the same.
      seconds: between checkpoints.
      keep: the last so many checkpoints stay, and the one with the least loss.
      tensorboard: whether TensorBoard's event files are written as well.
      advance: called at every log point with the steps just done.
      tell: called with a sentence where something is to be known.
      stop: once set, the training is saved at its next log point and ends.
    """

    folder: Path | None = None
    made_by: Any = None
    seconds: float = 30.0
    keep: int = 3
    tensorboard: bool = False
    advance: Callable[[int], None] = _nobody
    tell: Callable[[str], None] = _nobody
    stop: threading.Event = dataclasses.field(default_factory=threading.Event)
