"""The n-back task: does this symbol equal the one n steps ago?"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, ExactAnswers, pick

_SYMBOLS = 8


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class NBack(ExactAnswers):
    """The n-back task of psychology (Kirchner 1958) with n = T and eight symbols, as the letters of Jaeggi et al. 2008.

    Inputs: 2 T one-hot steps of 8 symbols. The first T are drawn uniformly; each later one is, with probability 1/2,
    the symbol T steps before it, else one of the seven others, drawn uniformly. Target at each of the last T steps:
    class 1 if the symbol matches, else 0; the first T steps have weight zero. Every symbol is uniformly distributed, so
    only the symbol T steps back determines the answer. Experiments with people have fewer matches (six of about twenty
    in Jaeggi et al.), which would favour the constant answer "no match"; here half of the steps match.

    Baseline: guessing, ln 2 nats per step with a target. Solved (criterion of this project): 99 % accuracy on the test
    set.

    Args:
      length: number of steps back, T.

    Raises:
      ValueError: if T < 1.
    """

    length: int = 100

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.length, "n_back: length")

    @property
    def variant(self) -> str:
        return "Kirchner 1958"

    @property
    def input_size(self) -> int:
        return _SYMBOLS

    @property
    def output_size(self) -> int:
        return 2

    @property
    def sequence_length(self) -> int:
        return 2 * self.length

    @property
    def dependency(self) -> int:
        return self.length

    @property
    def baseline(self) -> float:
        return math.log(2)

    def sequence(self, key: jax.Array) -> Batch:
        u_first, u_match, u_shift = jax.random.uniform(key, (3, self.length))
        first, match = pick(u_first, 0, _SYMBOLS), pick(u_match, 0, 2)
        # A cyclic shift by 1 to 7: each of the seven other symbols is equally likely.
        other = (first + pick(u_shift, 1, _SYMBOLS)) % _SYMBOLS
        return Batch(
            inputs=jax.nn.one_hot(jnp.concatenate([first, jnp.where(match, first, other)]), _SYMBOLS),
            targets=jnp.concatenate([jnp.zeros_like(match), match]),
            weights=(jnp.arange(2 * self.length) >= self.length).astype(u_first.dtype),
        )
