"""The selective copying problem: output in order the symbols scattered over a long blank."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.recall import ALPHABET, BLANK, DELIMITER, RECALLED, Recall
from rnn_jax.tasks.task import Batch, ExactAnswers, pick

_TOKENS, _VOCABULARY = 16, 16


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

    Details that the papers leave open or differ in are those of `Copying`: ten of eight symbols; those of Mamba are
    `SelectiveCopying2023`. The published code of GORU has 9 symbols in T + 9 steps that
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


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class SelectiveCopying2023(ExactAnswers):
    """Selective Copying of Gu & Dao 2023 (Mamba, arXiv:2312.00752), also Feng et al. 2024 (minGRU, arXiv:2410.01201).

    Inputs, T + 16 one-hot steps of a vocabulary of 16: T steps, of which sixteen hold a token, one of 1..14, drawn
    uniformly, and the others noise (0); then sixteen markers (15). Every choice of the sixteen steps is equally likely.
    Targets at the markers, 16 classes: the tokens in order; no other step has a weight. In the papers T = 4,096.

    Baseline: guessing among 14 tokens, ln 14 nats. Solved: 99 % accuracy on the test set (Mamba 99.8 %, table 1; minGRU
    with three layers 99.5 %, table 1 of arXiv:2410.01201).

    Args:
      length: number of steps among which the tokens are scattered, T.

    Raises:
      ValueError: if T < 16.
    """

    length: int = 4096

    def __post_init__(self) -> None:
        checks.integer_at_least(_TOKENS, self.length, "copying_selective_2023: length", " steps, one for each token")

    @property
    def variant(self) -> str:
        return "Gu 2023"

    @property
    def input_size(self) -> int:
        return _VOCABULARY

    @property
    def output_size(self) -> int:
        return _VOCABULARY

    @property
    def sequence_length(self) -> int:
        return self.length + _TOKENS

    @property
    def dependency(self) -> int:
        return self.length

    @property
    def baseline(self) -> float:
        return math.log(_VOCABULARY - 2)

    def sequence(self, key: jax.Array) -> Batch:
        u_tokens, u_steps = jnp.split(jax.random.uniform(key, (_TOKENS + self.length,)), [_TOKENS])
        tokens = pick(u_tokens, 1, _VOCABULARY - 1)
        steps = jnp.sort(jax.lax.top_k(u_steps, _TOKENS)[1])
        markers = jnp.full(_TOKENS, _VOCABULARY - 1)
        scattered = jnp.zeros(self.length, tokens.dtype).at[steps].set(tokens)
        return Batch(
            inputs=jax.nn.one_hot(jnp.concatenate([scattered, markers]), _VOCABULARY),
            targets=jnp.concatenate([jnp.zeros_like(scattered), tokens]),
            weights=(jnp.arange(self.sequence_length) >= self.length).astype(u_steps.dtype),
        )
