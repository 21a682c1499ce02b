"""Checks of numbers that users pass. Imports nothing of the project."""

import math
import numbers
from typing import Any


def integer_at_least(minimum: int, value: Any, what: str, why: str = "") -> None:
    """Refuses a value that is not an integer (True is not) of at least `minimum`.

    Raises:
      ValueError: if it is not; the message names `what`, `why` and the value.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < minimum:
        expected = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
        raise ValueError(f"{what} must be {expected}{why}, got {value!r}")


def positive(value: Any, what: str) -> None:
    """Refuses a value that is not a finite number above 0.

    Raises:
      ValueError: if it is not; the message names `what` and the value.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise ValueError(f"{what} must be a positive number, got {value!r}")


def rate(value: Any, what: str) -> None:
    """Refuses a value that is not a probability below 1.

    Raises:
      ValueError: if it is not; the message names `what` and the value.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= float(value) < 1:
        raise ValueError(f"{what} must be a number from 0 to below 1, got {value!r}")
