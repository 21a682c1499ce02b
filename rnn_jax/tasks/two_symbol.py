"""Long time lags: output the first symbol of a sequence, one of two, at its end."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, Classification, pick

_LONGEST_SUFFIX = 100


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class TwoSymbol(Classification):
    """Tasks 2a and 2b of Hochreiter & Schmidhuber 1997, section 5.2: "noise-free and noisy sequences".

    Inputs: T one-hot steps of the symbols a_1 .. a_{p-1}, x, y, with p = T. There are two sequences, each with
    probability 1/2: (x, a_1, .., a_{p-1}, x) and (y, a_1, .., a_{p-1}, y). The first T of their T + 1 symbols are the
    inputs; the target at each step is the next symbol. In task 2b the T - 1 symbols in the middle are drawn uniformly
    from a_1 .. a_{p-1} instead, so only the last target is predictable. The loss is the mean over all T steps;
    `accuracy` and `wrong` are those of the last step.

    Baseline: predictions from the step but not from the first symbol, ln 2 / T nats (2a) or
    ((T - 1) ln(T - 1) + ln 2) / T (2b). Solved: on the test set every probability at the last step within 0.25 of its
    target. (The paper requires this of its output units, which are sigmoids and not a softmax, on 10,000 sequences; in
    task 2a at every step.)

    Args:
      length: number of steps, T; p in the paper.
      random: False for task 2a, True for task 2b.

    Raises:
      ValueError: if T < 2.
    """

    length: int = 100
    random: bool = False

    tolerance = 0.25

    def __post_init__(self) -> None:
        checks.integer_at_least(2, self.length, "two symbols: length", " steps")

    @property
    def variant(self) -> str:
        return "H&S 1997 2b" if self.random else "H&S 1997 2a"

    @property
    def input_size(self) -> int:
        return self.length + 1

    @property
    def output_size(self) -> int:
        return self.length + 1

    @property
    def sequence_length(self) -> int:
        return self.length

    @property
    def dependency(self) -> int:
        return self.length - 1

    @property
    def baseline(self) -> float:
        between = self.length - 1
        return ((between * math.log(between) if self.random else 0) + math.log(2)) / self.length

    def sequence(self, key: jax.Array) -> Batch:
        u, between = jax.random.uniform(key, (self.length,)), self.length - 1
        first = between + pick(u[:1], 0, 2)  # x is symbol T - 1, y is T
        symbols = pick(u[1:], 0, between) if self.random else jnp.arange(between)
        sequence = jnp.concatenate([first, symbols, first])
        return Batch(
            inputs=jax.nn.one_hot(sequence[:-1], self.input_size),
            targets=sequence[1:],
            weights=jnp.ones(self.length),
        )

    def scored(self, batch: Batch) -> jax.Array:
        return batch.weights.at[:-1].set(0)

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["wrong"] == 0


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class TwoSymbolTriggered(Classification):
    """Task 2c of Hochreiter & Schmidhuber 1997, section 5.2: "very long time lags, no local regularities".

    Inputs: one-hot symbols a_1 .. a_p (distractors), e, b, x, y. A sequence is b, then x or y with probability 1/2
    each, then q + k distractors drawn uniformly, then the trigger e, with q = T. After the first q distractors each
    further symbol is a distractor with probability 9/10, else e: k is at least j with probability 0.9^j. Arrays are
    static, so k is limited to 100, which shortens 3 of 100,000 sequences; with its padding a sequence has q + 103
    steps. Target at e: which of x and y it was.

    Baseline: guessing, ln 2 nats. Solved: on the test set both probabilities within 0.2 of their targets. (The paper
    requires this of its output units, which are sigmoids and not a softmax, on 10,000 sequences.)

    Args:
      length: number of distractors before the trigger may come, T; q in the paper. The lag from x or y to e is at least
        q + 1.
      distractors: number of distractor symbols, p; None means q, as in the first half of table 3 of the paper.

    Raises:
      ValueError: if length or distractors is not a positive integer.
    """

    length: int = 100
    distractors: int | None = None

    tolerance = 0.2

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.length, "two symbols, triggered: length")
        if self.distractors is not None:
            checks.integer_at_least(1, self.distractors, "two symbols, triggered: distractors")

    @property
    def variant(self) -> str:
        return "H&S 1997 2c" if self.distractors is None else f"H&S 1997 2c, p = {self.distractors}"

    @property
    def input_size(self) -> int:
        return (self.distractors or self.length) + 4

    @property
    def output_size(self) -> int:
        return 2

    @property
    def sequence_length(self) -> int:
        return self.length + _LONGEST_SUFFIX + 3

    @property
    def dependency(self) -> int:
        return self.sequence_length - 2

    @property
    def baseline(self) -> float:
        return math.log(2)

    def sequence(self, key: jax.Array) -> Batch:
        # One uniform number per step. The first two steps hold no distractor; their numbers choose x or y, and k.
        u, steps = jax.random.uniform(key, (self.sequence_length,)), jnp.arange(self.sequence_length)
        answer = pick(u[0], 0, 2)
        end = self.length + 2 + jnp.sum(u[1] < 0.9 ** np.arange(1, _LONGEST_SUFFIX + 1))
        e, b, x = range(self.input_size - 4, self.input_size - 1)
        sequence = pick(u, 0, e).at[0].set(b).at[1].set(x + answer).at[end].set(e)
        sequence = jnp.where(steps <= end, sequence, -1)  # one_hot of -1 is all zeros: padding
        return Batch(
            inputs=jax.nn.one_hot(sequence, self.input_size),
            targets=jnp.full(self.sequence_length, answer),
            weights=(steps == end).astype(u.dtype),
        )

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["wrong"] == 0
