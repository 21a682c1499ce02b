"""Parity: whether a string of bits holds an even or an odd number of ones."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, Classification, pick


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Parity(Classification):
    """Parity check as in Delétang et al. 2023 (arXiv:2207.02098), "Neural networks and the Chomsky hierarchy".

    Between 1 and T bits, the number drawn uniformly, each bit a fair coin; two one-hot inputs, so that a zero bit
    differs from padding. Target at the last bit: class 0 where the number of ones is even, 1 where it is odd. Guessing
    costs ln 2 nats. Solved (this project's criterion): 99 % of the test set right. The paper trains with T = 40, one
    length a batch, wants the answer a step later, at an empty symbol of its own, and scores on strings of more than T
    bits; here the test set has the lengths of training.

    Args:
      length: T, the maximal length.

    Raises:
      ValueError: where T < 2.
    """

    length: int = 40

    def __post_init__(self) -> None:
        checks.integer_at_least(2, self.length, "parity: length", " steps")

    @property
    def variant(self) -> str:
        return "Delétang 2023"

    @property
    def input_size(self) -> int:
        return 2

    @property
    def output_size(self) -> int:
        return 2

    @property
    def sequence_length(self) -> int:
        return self.length

    @property
    def dependency(self) -> int:
        return self.length - 1

    @property
    def baseline(self) -> float:
        return math.log(2)

    def sequence(self, key: jax.Array) -> Batch:
        u, steps = jax.random.uniform(key, (self.length + 1,)), jnp.arange(self.length)
        end = pick(u[-1], 0, self.length)
        bits = jnp.where(steps <= end, pick(u[:-1], 0, 2), -1)  # one_hot of -1 is all zeros: padding
        return Batch(
            inputs=jax.nn.one_hot(bits, self.input_size),
            targets=jnp.full(self.length, jnp.sum(bits == 1) % 2),
            weights=(steps == end).astype(u.dtype),
        )

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["accuracy"] >= 0.99
