"""Checks of numbers that users pass. Imports nothing of the project."""

import math
import numbers
from typing import Any

import numpy as np


def integer_at_least(minimum: int, value: Any, what: str, why: str = "") -> None:
    """Refuses a value that is not an integer (True is not) of at least `minimum`.

    Raises:
      ValueError: if it is not; the message names `what`, `why` and the value.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < minimum:
        expected = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
        raise ValueError(f"{what} must be {expected}{why}, got {value!r}")


def divisor(value: Any, whole: int, what: str, of_what: str) -> None:
    """Refuses a value that is not a positive integer that divides `whole`.

    Raises:
      ValueError: if it is not; the message names `what`, the values and those that do.
    """
    integer_at_least(1, value, what)
    if whole % value:
        fitting = ", ".join(str(n) for n in range(1, whole + 1) if not whole % n)
        raise ValueError(f"{what} must divide {of_what} {whole}, got {value!r}; use one of {fitting}")


def positive(value: Any, what: str) -> None:
    """Refuses a value that is not a finite number above 0, or that float32 would round to 0 or infinity.

    Raises:
      ValueError: if it is not; the message names `what` and the value.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 < float(value) < math.inf:
        raise ValueError(f"{what} must be a positive number, got {value!r}")
    if not 0 < _float32(value) < math.inf:
        raise ValueError(f"{what} must be a number that float32 holds, got {value!r}")


def finite(value: Any, what: str) -> None:
    """Refuses a value that is not a number, or that float32 would round to infinity.

    Raises:
      ValueError: if it is not; the message names `what` and the value.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(_float32(value)):
        raise ValueError(f"{what} must be a finite number, got {value!r}")


def not_negative(value: Any, what: str) -> None:
    """Refuses a value that is not a finite number of at least 0.

    Raises:
      ValueError: if it is not; the message names `what` and the value.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= _float32(value) < math.inf:
        raise ValueError(f"{what} must be a number of at least 0, got {value!r}")


def rate(value: Any, what: str) -> None:
    """Refuses a value that is not a probability below 1, also as float32.

    Raises:
      ValueError: if it is not; the message names `what` and the value.
    """
    if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= _float32(value) < 1:
        raise ValueError(f"{what} must be a number from 0 to below 1, got {value!r}")


def _float32(value: Any) -> float:
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(value))
