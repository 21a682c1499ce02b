"""The temporal order problem: in which order did the symbols X and Y occur among distractors?"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, Classification, pick

_DISTRACTORS = 4  # a b c d are symbols 0 to 3
_START, _END, _X = 4, 5, 6  # E, B, X; Y is 7
# First and last step of each relevant symbol in hundredths of T; T = 100 gives the positions of the paper.
_WINDOWS = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class TemporalOrder(Classification):
    """Temporal order as in Hochreiter & Schmidhuber 1997, section 5.6: task 6a (two symbols) and 6b (three).

    Inputs: between T and T + T/10 one-hot steps of the symbols a b c d E B X Y, the number drawn uniformly. A sequence
    starts with E and ends with B. Two (6a) or three (6b) steps hold X or Y with probability 1/2 each, the others random
    distractors a to d. The step of each X or Y is drawn from a fixed window: for T = 100 steps 10 to 20 and 50 to 60
    (6a), or 10 to 20, 33 to 43 and 66 to 76 (6b), both ends included, scaled with T. Target at the last step: which of
    the 4 (8) orders it was.

    Baseline: guessing, ln 4 (ln 8) nats. Solved: on the test set every class probability within 0.3 of its target (the
    tolerance of the paper, which applies it to output units).

    Args:
      length: minimal number of steps, T.
      symbols: number of relevant symbols, 2 for task 6a, 3 for task 6b.

    Raises:
      ValueError: if T < 10, or symbols is neither 2 nor 3.
    """

    length: int = 100
    symbols: int = 2

    def __post_init__(self) -> None:
        if self.symbols not in _WINDOWS:
            raise ValueError(f"temporal order: symbols must be 2 (task 6a) or 3 (task 6b), got {self.symbols}")
        checks.integer_at_least(10, self.length, "temporal order: length", " steps")

    @property
    def variant(self) -> str:
        return "H&S 1997 6a" if self.symbols == 2 else "H&S 1997 6b"

    @property
    def input_size(self) -> int:
        return 8

    @property
    def output_size(self) -> int:
        return int(2**self.symbols)

    @property
    def sequence_length(self) -> int:
        return self.length + self.length // 10

    @property
    def dependency(self) -> int:
        return self.sequence_length - 1 - self.windows[0][0]

    @property
    def windows(self) -> tuple[tuple[int, int], ...]:
        """First and last possible step, both included, of each relevant symbol."""
        return tuple((low * self.length // 100, high * self.length // 100) for low, high in _WINDOWS[self.symbols])

    @property
    def baseline(self) -> float:
        return self.symbols * math.log(2)

    def sequence(self, key: jax.Array) -> Batch:
        u_end, u = jnp.split(jax.random.uniform(key, (1 + 2 * self.symbols + self.sequence_length,)), [1])
        u_steps, u_bits, u_sequence = jnp.split(u, [self.symbols, 2 * self.symbols])
        times = jnp.arange(self.sequence_length)
        end = pick(u_end[0], self.length, self.sequence_length + 1) - 1
        low, high = jnp.array(self.windows).T
        steps, bits = pick(u_steps, low, high + 1), pick(u_bits, 0, 2)
        sequence = pick(u_sequence, 0, _DISTRACTORS)
        sequence = sequence.at[0].set(_START).at[steps].set(_X + bits).at[end].set(_END)
        sequence = jnp.where(times <= end, sequence, -1)  # one_hot of -1 is all zeros: padding
        target = jnp.sum(bits * 2 ** jnp.arange(self.symbols)[::-1])
        return Batch(
            inputs=jax.nn.one_hot(sequence, self.input_size),
            targets=jnp.full(self.sequence_length, target),
            weights=(times == end).astype(jnp.result_type(float)),
        )

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["wrong"] == 0
