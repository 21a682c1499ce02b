"""The copying memory problem: ten symbols, a long blank, the same ten symbols wanted."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, Classification, pick

_RECALLED = 10  # symbols to copy
_ALPHABET = 8
_BLANK, _DELIMITER = 8, 9


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Copying(Classification):
    """Copying as in Arjovsky, Shah & Bengio 2016 (arXiv:1511.06464), after Hochreiter & Schmidhuber 1997.

    Inputs, T + 20 one-hot steps of 10 symbols: ten of a_0..a_7 drawn uniformly, T - 1 blanks (a_8), the delimiter
    (a_9), ten blanks. Targets, 9 classes: T + 10 blanks, then the ten symbols in their order. The loss is the mean over
    all T + 20 steps; answering blanks, then at random among the eight, gives 10 ln 8 / (T + 20) nats. `accuracy` is
    over the ten recalled steps. Solved (this project's criterion; the paper compares curves): 99 % of them right on the
    test set.

    Args:
      length: T.

    Raises:
      ValueError: where T < 1.
    """

    length: int = 100

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.length, "copying: length")

    @property
    def variant(self) -> str:
        return "Arjovsky 2016"

    @property
    def input_size(self) -> int:
        return _ALPHABET + 2

    @property
    def output_size(self) -> int:
        return _ALPHABET + 1

    @property
    def sequence_length(self) -> int:
        return self.length + 2 * _RECALLED

    @property
    def dependency(self) -> int:
        return self.length + _RECALLED

    @property
    def baseline(self) -> float:
        return _RECALLED * math.log(_ALPHABET) / self.sequence_length

    def sequence(self, key: jax.Array) -> Batch:
        symbols = pick(jax.random.uniform(key, (_RECALLED,)), 0, _ALPHABET)
        blanks = jnp.full(self.length + _RECALLED, _BLANK)
        inputs = jnp.concatenate([symbols, blanks.at[self.length - 1].set(_DELIMITER)])
        return Batch(
            inputs=jax.nn.one_hot(inputs, self.input_size),
            targets=jnp.concatenate([blanks, symbols]),
            weights=jnp.ones(self.sequence_length),
        )

    def scored(self, batch: Batch) -> jax.Array:
        return batch.weights.at[:-_RECALLED].set(0)

    def solved(self, metrics: dict[str, float]) -> bool:
        return metrics["accuracy"] >= 0.99
