"""Policies for a seed whose loss, gradient or update is NaN or infinite. With each of them, that update is skipped."""

import dataclasses
from typing import ClassVar

from rnn_jax import checks
from rnn_jax.static import Static


@dataclasses.dataclass(frozen=True)
class Stop(Static):
    """The seed keeps its last finite parameters and trains no further; the other seeds continue."""

    ends: ClassVar[bool] = True  # whether one such step sets `TrainState.diverged` in the compiled step


@dataclasses.dataclass(frozen=True)
class Skip(Static):
    """The seed continues with the next batch; on a stream, with the state from before the skipped segment."""

    ends: ClassVar[bool] = False


@dataclasses.dataclass(frozen=True)
class RollBack(Static):
    """The seed goes back to the log point after which its loss was least, and continues at a smaller learning rate.

    Not to the last log point: parameters that overflow were finite, and already useless, before. Log points lie at
    fixed steps, so an interrupted run rolls back to the same states. The steps in between are not repeated.

    Args:
      factor: factor of the learning rate at each roll back.
      limit: largest number of roll backs of a seed; after that it stops, as with `Stop`.

    Raises:
      ValueError: if factor is not between 0 and 1, or limit is not a positive integer.
    """

    factor: float = 0.5
    limit: int = 10
    ends: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checks.finite(self.factor, "RollBack: factor")
        if not 0 < self.factor < 1:
            raise ValueError(f"RollBack: factor must be between 0 and 1, got {self.factor}")
        checks.integer_at_least(1, self.limit, "RollBack: limit")


NotFinite = Stop | Skip | RollBack
