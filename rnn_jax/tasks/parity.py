"""Parity: does a string of bits hold an even or an odd number of ones?"""

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

    Inputs: between 1 and T bits, the number drawn uniformly, each bit uniform; one-hot with two inputs, so that a zero
    bit differs from padding. Target at the last bit: class 0 if the number of ones is even, 1 if it is odd. In the
    paper T is 40, all strings of a batch have one length, the answer is given one step later, at an additional empty
    symbol, and the test strings have more than T bits; here the test set has the lengths of training.

    Baseline: guessing, ln 2 nats. Solved (criterion of this project): 99 % accuracy on the test set.

    Args:
      length: maximal number of bits, T.

    Raises:
      ValueError: if T < 2.
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
