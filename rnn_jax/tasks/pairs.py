"""Sequences of pairs (value, marker), shared by the adding and multiplication tasks of 1997."""

import abc
import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, Regression, pick


@dataclasses.dataclass(frozen=True)
class MarkedPairs(Regression):
    """Base class of the tasks of Hochreiter & Schmidhuber 1997, sections 5.4 and 5.5; subclasses define the target.

    Inputs: between T and T + T/10 pairs (value, marker), the number drawn uniformly. One of the first ten pairs and one
    of the first T/2 - 1 still unmarked pairs are picked and have marker 1, the first and the last pair have -1, the
    others 0. If the first pair is picked, its marker stays -1 and its value does not count. The target is at the last
    step.

    Args:
      length: minimal number of steps, T.

    Raises:
      ValueError: if T < 20, because the first ten pairs must lie in the first half.
    """

    length: int = 100

    name: ClassVar[str]  # for error messages
    low: ClassVar[float]  # values are uniform in [low, 1)

    def __post_init__(self) -> None:
        checks.integer_at_least(20, self.length, f"{self.name}: length", " steps, for ten pairs in the first half")

    @abc.abstractmethod
    def answer(self, values: jax.Array, counts: jax.Array) -> jax.Array:
        """Returns the target from the values [T] and a mask [T] of those that count."""

    @property
    def variant(self) -> str:
        return "H&S 1997"

    @property
    def input_size(self) -> int:
        return 2

    @property
    def output_size(self) -> int:
        return 1

    @property
    def sequence_length(self) -> int:
        return self.length + self.length // 10

    @property
    def dependency(self) -> int:
        return self.sequence_length - 2

    @property
    def first_picked(self) -> float:
        """Probability that the first pair is picked."""
        return 1 / 10 + (9 / 10) / (self.length // 2 - 1)

    def sequence(self, key: jax.Array) -> Batch:
        u = jax.random.uniform(key, (self.sequence_length + 3,))
        steps = jnp.arange(self.sequence_length)
        end = pick(u[-3], self.length, self.sequence_length + 1) - 1
        values = jnp.where(steps <= end, self.low + (1 - self.low) * u[: self.sequence_length], 0)
        first = pick(u[-2], 0, 10)
        # The first T/2 pairs without the one picked are T/2 - 1: draw one of those, skipping the one picked.
        second = pick(u[-1], 0, self.length // 2 - 1)
        second = jnp.where(second >= first, second + 1, second)
        marks = (steps == first) | (steps == second)
        marks = jnp.where((steps == 0) | (steps == end), -1, marks).astype(values.dtype)
        return Batch(
            inputs=jnp.stack([values, marks], axis=-1),
            targets=jnp.full((self.sequence_length, 1), self.answer(values, marks > 0)),
            weights=(steps == end).astype(values.dtype),
        )
