"""The adding problem: at the end of a sequence, output the sum of two marked values far apart."""

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

    Inputs: T pairs (value, mark), values uniform in [0, 1). One mark is 1 in the first half of the sequence and one in
    the second half; all others are 0. Target at the last step: the sum of the two marked values.

    Baseline: the constant 1, with a mean squared error (MSE) of 1/6. Solved: MSE below 0.001 on the test set.

    >>> import jax
    >>> from rnn_jax import tasks
    >>> task = tasks.Adding(length=100)
    >>> batch = task.sample(jax.random.key(0), batch_size=32)
    >>> batch.inputs.shape, batch.targets.shape, batch.weights.shape  # [T, B, input_size], [T, B, 1], [T, B]
    ((100, 32, 2), (100, 32, 1), (100, 32))
    >>> task.baseline, task.solved({"mse": 0.0009})
    (0.16666666666666666, True)

    Args:
      length: number of steps, T.

    Raises:
      ValueError: if T < 2.
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

    Inputs: between T and T + T/10 pairs (value, marker), the number drawn uniformly; values uniform in [-1, 1). One of
    the first ten pairs (value X1) and one of the first T/2 - 1 still unmarked pairs (X2) have marker 1, the first and
    the last pair have -1, the others 0. If the first pair is picked, its marker stays -1 and its value counts as zero.
    Target at the last step: 0.5 + (X1 + X2) / 4.

    Baseline: the best constant, 0.5, with a mean squared error of (2 - p) / 48, where p = 1/10 + (9/10) / (T/2 - 1) is
    the probability that the first pair is picked. Solved: on the test set a mean absolute error below 0.01 and no error
    of 0.04 or more.

    Args:
      length: minimal number of steps, T.

    Raises:
      ValueError: if T < 20, because the first ten pairs must lie in the first half.
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
