"""The adding problem: two marked values far apart, their sum wanted at the end."""

import dataclasses

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.pairs import MarkedPairs
from rnn_jax.tasks.task import Batch, Regression, pick


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Adding(Regression):
    """Adding as in Le, Jaitly & Hinton 2015 (arXiv:1504.00941) and Arjovsky et al. 2016 (arXiv:1511.06464).

    T pairs (value, mark), values uniform in [0, 1); one mark 1 in the first half of the sequence and one in the second,
    else 0. Target at the last step: the sum of the two marked values. Always answering 1 has a mean squared error of
    1/6. Solved: MSE below 0.001 on the test set.

    Args:
      length: T.

    Raises:
      ValueError: where T < 2.
    """

    length: int = 100

    def __post_init__(self) -> None:
        checks.integer_at_least(2, self.length, "adding: length", " steps, one for each mark")

    @property
    def variant(self) -> str:
        return "2015/2016"

    @property
    def input_size(self) -> int:
        return 2

    @property
    def output_size(self) -> int:
        return 1

    @property
    def sequence_length(self) -> int:
        return self.length

    @property
    def dependency(self) -> int:
        return self.length - 1

    @property
    def baseline(self) -> float:
        return 1 / 6

    def sequence(self, key: jax.Array) -> Batch:
        u = jax.random.uniform(key, (self.length + 2,))
        values, half = u[: self.length], self.length // 2
        first, second = pick(u[-2], 0, half), pick(u[-1], half, self.length)
        steps = jnp.arange(self.length)
        marks = ((steps == first) | (steps == second)).astype(values.dtype)
        return Batch(
            inputs=jnp.stack([values, marks], axis=-1),
            targets=jnp.full((self.length, 1), jnp.sum(values * marks)),
            weights=(steps == self.length - 1).astype(values.dtype),
        )

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["mse"] < 0.001


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Adding1997(MarkedPairs):
    """Adding as in Hochreiter & Schmidhuber 1997, section 5.4.

    Between T and T + T/10 pairs (value, marker), the number drawn uniformly; values uniform in [-1, 1). One of the
    first ten pairs (value X1) and one of the first T/2 - 1 still unmarked pairs (X2) carry marker 1, the first and the
    final pair -1, the others 0; where the first pair is picked, its marker stays -1 and its value counts as zero.
    Target at the last step: 0.5 + (X1 + X2) / 4. The best constant, 0.5, has the mean squared error (2 - p) / 48 with p
    the chance that the first pair is picked, 1/10 + (9/10) / (T/2 - 1). Solved: a mean absolute error below 0.01 and no
    error of 0.04 or more on the test set.

    Args:
      length: T, the minimal length.

    Raises:
      ValueError: where T < 20: the first ten pairs must lie in the first half.
    """

    name = "adding_1997"
    low = -1.0

    def answer(self, values: jax.Array, counts: jax.Array) -> jax.Array:
        return 0.5 + jnp.sum(jnp.where(counts, values, 0)) / 4

    @property
    def baseline(self) -> float:
        return (2 - self.first_picked) / 48

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["error"] < 0.01 and metrics["wrong"] == 0
