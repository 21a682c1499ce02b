"""Associative recall: eight pairs of a letter and a digit, then one of the letters; output its digit."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, ExactAnswers, pick

_PAIRS = 8
_LETTERS, _DIGITS = 26, 10  # symbols 0 to 25, then 26 to 35
_QUESTION = _LETTERS + _DIGITS  # ?


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class AssociativeRecall(ExactAnswers):
    """Associative retrieval as in Ba et al. 2016 (fast weights, arXiv:1610.06258), section 4.1.

    Inputs: T one-hot steps of 37 symbols (26 letters, 10 digits and `?`): eight pairs of a letter and a digit with
    different letters, then `?` until the last step, which repeats one of the eight letters. With four pairs this could
    be c9k8j3f1??c. Letters, digits and the queried pair are drawn uniformly. Target at the last step, 10 classes: the
    digit that followed the letter. In the paper there are two `?`, T = 19; a longer T has more of them.

    The longest lag is that of the first digit: a network that forgot the first letter can still recognise it as the one
    that is in none of the seven other pairs.

    Baseline: a constant answer, ln 10 nats. Solved (criterion of this project): 99 % accuracy on the test set.

    Args:
      length: number of steps, T.

    Raises:
      ValueError: if T < 18.
    """

    length: int = 19

    def __post_init__(self) -> None:
        minimum = 2 * _PAIRS + 2
        checks.integer_at_least(
            minimum, self.length, "associative_recall: length", " steps, eight pairs, a question mark and a letter"
        )

    @property
    def variant(self) -> str:
        return "Ba 2016"

    @property
    def input_size(self) -> int:
        return _QUESTION + 1

    @property
    def output_size(self) -> int:
        return _DIGITS

    @property
    def sequence_length(self) -> int:
        return self.length

    @property
    def dependency(self) -> int:
        return self.length - 2

    @property
    def baseline(self) -> float:
        return math.log(_DIGITS)

    def sequence(self, key: jax.Array) -> Batch:
        u = jax.random.uniform(key, (_LETTERS + _PAIRS + 1,))
        # The indices of the eight largest of 26 uniform numbers: eight different letters in random order.
        letters = jax.lax.top_k(u[:_LETTERS], _PAIRS)[1]
        digits, query = pick(u[_LETTERS:-1], 0, _DIGITS), pick(u[-1], 0, _PAIRS)
        pairs = jnp.stack([letters, _LETTERS + digits], axis=-1).ravel()
        sequence = jnp.full(self.length, _QUESTION).at[: 2 * _PAIRS].set(pairs).at[-1].set(letters[query])
        return Batch(
            inputs=jax.nn.one_hot(sequence, self.input_size),
            targets=jnp.full(self.length, digits[query]),
            weights=jnp.zeros(self.length).at[-1].set(1),
        )
