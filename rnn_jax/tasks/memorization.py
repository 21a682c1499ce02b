"""Memorization and random permutation: the tasks of Martens & Sutskever 2011 that the copying problem comes from."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, ExactAnswers, pick

_VALUES, _POSITIONS = 5, 10
_SYMBOLS = 100


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Memorization(ExactAnswers):
    """Noiseless memorization as in Martens & Sutskever 2011 and the code of Pascanu et al. 2013 (arXiv:1211.5063).

    Inputs, T + 20 one-hot steps of 7 symbols: ten of five values drawn uniformly (the papers' "20 bits": 5^10 strings),
    T blanks, the delimiter, nine blanks. Targets, 6 classes: T + 10 blanks, then the ten values in order, the first at
    the delimiter's own step; `Copying` has eight values, and its answer begins one step after the delimiter. The loss
    is the mean over all T + 20 steps, `accuracy` that over the ten recalled steps.

    Baseline: blanks, then uniform guesses among the five values, 10 ln 5 / (T + 20) nats. Solved: 99 % accuracy on the
    test set (in the papers: at most 1 % of the sequences with any error).

    Args:
      length: number of blanks between the values and the delimiter, T.

    Raises:
      ValueError: if T < 1.
    """

    length: int = 100

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.length, "memorization: length")

    @property
    def variant(self) -> str:
        return "Martens 2011"

    @property
    def input_size(self) -> int:
        return _VALUES + 2

    @property
    def output_size(self) -> int:
        return _VALUES + 1

    @property
    def sequence_length(self) -> int:
        return self.length + 2 * _POSITIONS

    @property
    def dependency(self) -> int:
        return self.length + _POSITIONS

    @property
    def baseline(self) -> float:
        return _POSITIONS * math.log(_VALUES) / self.sequence_length

    def sequence(self, key: jax.Array) -> Batch:
        values = pick(jax.random.uniform(key, (_POSITIONS,)), 0, _VALUES)
        blanks = jnp.full(self.length + _POSITIONS, _VALUES)
        return Batch(
            inputs=jax.nn.one_hot(jnp.concatenate([values, blanks.at[self.length].set(_VALUES + 1)]), self.input_size),
            targets=jnp.concatenate([blanks, values]),
            weights=jnp.ones(self.sequence_length),
        )

    def scored(self, batch: Batch) -> jax.Array:
        return batch.weights * (batch.targets != _VALUES)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Permutation(ExactAnswers):
    """Random permutation as in Martens & Sutskever 2011, in the form of the code of Pascanu et al. 2013.

    Inputs, T one-hot steps of 100 symbols: first one of symbols 0 and 1, each with probability 1/2, then T - 1 of the
    98 others, drawn uniformly. Target at the last step, 100 classes: the first symbol. Named after the symbols'
    arbitrary order in time, in the paper with targets at every step.

    Baseline: guessing between the two, ln 2 nats. Solved (criterion of this project): 99 % accuracy on the test set.

    Args:
      length: number of steps, T.

    Raises:
      ValueError: if T < 2.
    """

    length: int = 100

    def __post_init__(self) -> None:
        checks.integer_at_least(2, self.length, "permutation: length", " steps")

    @property
    def variant(self) -> str:
        return "Martens 2011"

    @property
    def input_size(self) -> int:
        return _SYMBOLS

    @property
    def output_size(self) -> int:
        return _SYMBOLS

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
        u, steps = jax.random.uniform(key, (self.length,)), jnp.arange(self.length)
        symbols = jnp.where(steps == 0, pick(u, 0, 2), pick(u, 2, _SYMBOLS))
        return Batch(
            inputs=jax.nn.one_hot(symbols, _SYMBOLS),
            targets=jnp.full(self.length, symbols[0]),
            weights=(steps == self.length - 1).astype(u.dtype),
        )
