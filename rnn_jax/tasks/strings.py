"""Base class of tasks that answer a question about a whole string at its end, and may test on longer strings."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, ExactAnswers, pick


@dataclasses.dataclass(frozen=True)
class Strings(ExactAnswers):
    """Strings of symbols drawn uniformly; the answer is the class at the last symbol.

    Training strings have between 1 and T symbols, the number drawn uniformly. The test strings have, too, or, if
    `stretch` is above 1, between T + 1 and `stretch` T: who has learned the rule and not the lengths answers those.
    Symbols are one-hot, so that symbol 0 differs from padding.
    """

    name: ClassVar[str]

    length: int = 40
    stretch: float = 1.0

    def __post_init__(self) -> None:
        checks.integer_at_least(2, self.length, f"{self.name}: length", " steps")
        checks.finite(self.stretch, f"{self.name}: stretch")
        if self.stretch < 1:
            raise ValueError(f"{self.name}: stretch must be at least 1, got {self.stretch}")

    def answer(self, symbols: jax.Array, real: jax.Array) -> jax.Array:
        """Returns the class of one string, from symbols [T] and which of them are no padding [T]."""
        raise NotImplementedError(f"{type(self).__name__} must define answer(symbols, real)")

    @property
    def sequence_length(self) -> int:
        return self.length

    @property
    def dependency(self) -> int:
        return self.length - 1

    def sequence(self, key: jax.Array) -> Batch:
        return self._string(key, 0, self.length)

    def test_sequence(self, key: jax.Array) -> Batch:
        longest = math.ceil(self.stretch * self.length)
        return self._string(key, self.length, longest) if longest > self.length else self.sequence(key)

    def _string(self, key: jax.Array, shortest: int, longest: int) -> Batch:
        """Returns a string of more than `shortest` and at most `longest` symbols."""
        u, steps = jax.random.uniform(key, (longest + 1,)), jnp.arange(longest)
        end = pick(u[-1], shortest, longest)
        real, symbols = steps <= end, pick(u[:-1], 0, self.input_size)
        return Batch(
            inputs=jax.nn.one_hot(jnp.where(real, symbols, -1), self.input_size),  # one_hot of -1 is all zeros: padding
            targets=jnp.full(longest, self.answer(symbols, real)),
            weights=(steps == end).astype(u.dtype),
        )
