"""Two symbols: the first of a sequence is wanted again at its end, past all that stands between."""

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

    One-hot symbols a_1 .. a_{p-1}, x, y, with p = T. Two sequences, each with probability 1/2:
    (x, a_1, .., a_{p-1}, x) and (y, a_1, .., a_{p-1}, y). Of their T + 1 symbols the first T are inputs, and at each
    step the target is the next symbol. In task 2b the T - 1 symbols between are drawn uniformly from a_1 .. a_{p-1}
    instead: only the last target can be known. The loss is the mean over all T steps; knowing the step, but not the
    first symbol, costs ln 2 / T nats (2a) or ((T - 1) ln(T - 1) + ln 2) / T (2b). `accuracy` and `wrong` are of the
    last step. Solved: on the test set every probability there within 0.25 of its target. (The paper asks the same of
    its output units, sigmoids and not a softmax, on 10,000 sequences; in task 2a at every step.)

    Args:
      length: T, the paper's p.
      random: False for task 2a, True for task 2b.

    Raises:
      ValueError: where T < 2.
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

    One-hot symbols a_1 .. a_p (distractors), e, b, x, y. A sequence is b, then x or y (a fair coin), then q + k
    distractors drawn uniformly, then the trigger e, with q = T. After the prefix of q distractors each further symbol
    is a distractor with probability 9/10, else e: k is at least j with probability 0.9^j. It is cut off at 100, where 3
    of 100,000 sequences end: arrays are static, and a sequence takes q + 103 steps with its padding. Target at e: which
    of x and y it was. Guessing costs ln 2 nats. Solved: on the test set both probabilities within 0.2 of their targets.
    (The paper asks the same of its output units, sigmoids and not a softmax, on 10,000 sequences.)

    Args:
      length: T, the paper's q; the lag from x or y to e is at least q + 1.
      distractors: p, how many distractors there are; q where None, as in the first half of the paper's table 3.

    Raises:
      ValueError: where either is no positive integer.
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
        # A number a step. The first two steps hold no distractor: theirs choose x or y, and k.
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
