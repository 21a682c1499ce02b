"""The temporal order problem: which of X and Y came first, long ago, among distractors."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, Classification, pick

_DISTRACTORS = 4  # a b c d are symbols 0 to 3
_START, _END, _X = 4, 5, 6  # E, B, X; Y is 7
# Where the relevant symbols stand, in hundredths of T; at T = 100 the paper's own positions.
_WINDOWS = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class TemporalOrder(Classification):
    """Temporal order as in Hochreiter & Schmidhuber 1997, section 5.6: task 6a (two symbols) and 6b (three).

    One-hot symbols a b c d E B X Y; between T and T + T/10 steps, the number drawn uniformly. A sequence starts with E,
    ends with B, and otherwise holds random distractors a to d, but for X or Y (a fair coin each) at random steps of
    fixed windows: for T = 100 steps 10 to 20 and 50 to 60 (6a), or 10 to 20, 33 to 43 and 66 to 76 (6b), both ends
    included, scaled with T. Target at the last step: which of the 4 (8) orders it was. Guessing costs ln 4 (ln 8) nats.
    Solved: on the test set every class probability within 0.3 of its target (the paper's tolerance, there of its output
    units).

    Args:
      length: T, the minimal length.
      symbols: relevant symbols, 2 for task 6a, 3 for task 6b.

    Raises:
      ValueError: where T < 10, or symbols is neither 2 nor 3.
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
        """First and last step, both included, of each relevant symbol."""
        return tuple((low * self.length // 100, high * self.length // 100) for low, high in _WINDOWS[self.symbols])

    @property
    def baseline(self) -> float:
        return self.symbols * math.log(2)

    def sequence(self, key: jax.Array) -> Batch:
        u_end, u = jnp.split(jax.random.uniform(key, (1 + 2 * self.symbols + self.sequence_length,)), [1])
        u_places, u_bits, u_sequence = jnp.split(u, [self.symbols, 2 * self.symbols])
        steps = jnp.arange(self.sequence_length)
        end = pick(u_end[0], self.length, self.sequence_length + 1) - 1
        low, high = jnp.array(self.windows).T
        places, bits = pick(u_places, low, high + 1), pick(u_bits, 0, 2)
        sequence = pick(u_sequence, 0, _DISTRACTORS)
        sequence = sequence.at[0].set(_START).at[places].set(_X + bits).at[end].set(_END)
        sequence = jnp.where(steps <= end, sequence, -1)  # one_hot of -1 is all zeros: padding
        target = jnp.sum(bits * 2 ** jnp.arange(self.symbols)[::-1])
        return Batch(
            inputs=jax.nn.one_hot(sequence, self.input_size),
            targets=jnp.full(self.sequence_length, target),
            weights=(steps == end).astype(jnp.result_type(float)),
        )

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["wrong"] == 0
