"""The multiplication problem: at the end of a sequence, output the product of two marked values far apart."""

import dataclasses

import jax
import jax.numpy as jnp

from rnn_jax.tasks.pairs import MarkedPairs


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Multiplication(MarkedPairs):
    """Multiplication as in Hochreiter & Schmidhuber 1997, section 5.5.

    Inputs: pairs (value, marker) as in `Adding1997`, but with values uniform in [0, 1). Target at the last step: X1 X2,
    the product of the two marked values. If the first pair is picked, its marker stays -1 and its value counts as one.

    Baseline: the best constant, (1 + p) / 4, with a mean squared error of (1 + 2p) / 9 - (1 + p)^2 / 16, where
    p = 1/10 + (9/10) / (T/2 - 1) is the probability that the first pair is picked. Solved: on the test set fewer than
    13 in 2,000 errors of 0.04 or more, the stricter of the paper's two limits (which apply to the last 2,000 training
    sequences there; the other is 140).

    Args:
      length: minimal number of steps, T.

    Raises:
      ValueError: if T < 20, because the first ten pairs must lie in the first half.
    """

    name = "multiplication"
    low = 0.0

    def answer(self, values: jax.Array, counts: jax.Array) -> jax.Array:
        return jnp.prod(jnp.where(counts, values, 1))

    @property
    def baseline(self) -> float:
        return (1 + 2 * self.first_picked) / 9 - (1 + self.first_picked) ** 2 / 16

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["wrong"] < 13 / 2000
