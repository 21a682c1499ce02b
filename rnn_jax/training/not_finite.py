"""What becomes of a seed whose loss or gradient is NaN or infinite. Whatever it is, that update is left out."""

import dataclasses
from typing import ClassVar

from rnn_jax import checks


@dataclasses.dataclass(frozen=True)
class Stop:
    """The seed stays at its last finite parameters; the others go on."""

    ends: ClassVar[bool] = True  # whether one such step ends a seed's training, as far as the compiled step knows


@dataclasses.dataclass(frozen=True)
class Skip:
    """The update is left out, and so is what the step carried on; the next batch may be finite again."""

    ends: ClassVar[bool] = False


@dataclasses.dataclass(frozen=True)
class RollBack:
    """The seed goes back to the log point after which its loss was least, and on from there at a smaller learning rate.

    Not to the last one before: what has overflowed was finite at first, and beyond help. Log points lie at fixed steps,
    so that a run that was interrupted rolls back to where one that was not does. The steps lost are not made up for.

    Args:
      factor: what the learning rate is multiplied by, each time.
      limit: how often, a seed; after that it stays at its last finite parameters.

    Raises:
      ValueError: where factor is not between 0 and 1 or limit not a positive integer.
    """

    factor: float = 0.5
    limit: int = 10
    ends: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise ValueError(f"RollBack: factor must be between 0 and 1, got {self.factor}")
        checks.integer_at_least(1, self.limit, "RollBack: limit")


NotFinite = Stop | Skip | RollBack
