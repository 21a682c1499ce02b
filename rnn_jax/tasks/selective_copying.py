"""The selective copying problem: output in order the ten symbols scattered over a long blank."""

import dataclasses

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.recall import ALPHABET, BLANK, DELIMITER, RECALLED, Recall
from rnn_jax.tasks.task import Batch, pick


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class SelectiveCopying(Recall):
    """The denoise task of Jing et al. 2019 (GORU, arXiv:1706.02761): Selective Copying of Gu & Dao 2023 (Mamba).

    Inputs, T + 11 one-hot steps of 10 symbols: T steps, of which ten hold one of a_0..a_7 each, drawn uniformly, and
    the others a blank (a_8, "noise" in the paper); the delimiter (a_9, "marker"); ten blanks. Every choice of the ten
    steps is equally likely. Targets, 9 classes: T + 1 blanks, then the ten symbols in order, the first one at the step
    after the delimiter, as in `Copying`. The loss is the mean over all T + 11 steps, `accuracy` that over the ten
    recalled steps.

    Baseline: blanks, then uniform guesses among the eight symbols, 10 ln 8 / (T + 11) nats. Solved (criterion of this
    project): 99 % accuracy on the test set.

    Details that the papers leave open or differ in are those of `Copying`: ten of eight symbols. Mamba
    (arXiv:2312.00752) has 16 of 16 tokens and T = 4096. The published code of GORU has 9 symbols in T + 9 steps that
    may coincide, so a target symbol may be missing from the input.

    Args:
      length: number of steps among which the symbols are scattered, T.

    Raises:
      ValueError: if T < 10.
    """

    length: int = 100

    def __post_init__(self) -> None:
        checks.integer_at_least(RECALLED, self.length, "copying_selective: length", " steps, one for each symbol")

    @property
    def variant(self) -> str:
        return "Jing 2019"

    @property
    def sequence_length(self) -> int:
        return self.length + 1 + RECALLED

    @property
    def dependency(self) -> int:
        return self.length + 1

    def sequence(self, key: jax.Array) -> Batch:
        u_symbols, u_steps = jnp.split(jax.random.uniform(key, (RECALLED + self.length,)), [RECALLED])
        symbols = pick(u_symbols, 0, ALPHABET)
        # The indices of the ten largest of T uniform numbers: ten different steps.
        steps = jnp.sort(jax.lax.top_k(u_steps, RECALLED)[1])
        blank = jnp.full(self.sequence_length, BLANK)
        return Batch(
            inputs=jax.nn.one_hot(blank.at[steps].set(symbols).at[self.length].set(DELIMITER), self.input_size),
            targets=blank.at[-RECALLED:].set(symbols),
            weights=jnp.ones(self.sequence_length),
        )
