"""Parity: does a string of bits hold an even or an odd number of ones?"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnn_jax.tasks.strings import Strings


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Parity(Strings):
    """Parity check as in Delétang et al. 2023 (arXiv:2207.02098), "Neural networks and the Chomsky hierarchy".

    Inputs: between 1 and T bits, the number drawn uniformly, each bit uniform; one-hot with two inputs. Target at the
    last bit: class 0 if the number of ones is even, 1 if it is odd. In the paper T is 40, all strings of a batch have
    one length, the answer is given one step later, at an additional empty symbol, and the test strings have more than T
    bits; here they have if `stretch` is above 1: 6.4 gives the 256 bits of T = 40.

    Baseline: guessing, ln 2 nats. Solved (criterion of this project): 99 % accuracy on the test set.

    Args:
      length: maximal number of bits in training, T.
      stretch: maximal number of bits of a test string, in T; above 1, all test strings have more than T.

    Raises:
      ValueError: if T < 2 or `stretch` < 1.
    """

    name = "parity"

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
    def baseline(self) -> float:
        return math.log(2)

    def answer(self, symbols: jax.Array, real: jax.Array) -> jax.Array:
        return jnp.sum((symbols == 1) & real) % 2
