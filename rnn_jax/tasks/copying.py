"""The copying problem: after a long blank, output the ten symbols that came before it."""

import dataclasses

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.recall import ALPHABET, BLANK, DELIMITER, RECALLED, Recall
from rnn_jax.tasks.task import Batch, pick


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Copying(Recall):
    """Copying as in Arjovsky, Shah & Bengio 2016 (arXiv:1511.06464), after Hochreiter & Schmidhuber 1997.

    Inputs, T + 20 one-hot steps of 10 symbols: ten of a_0..a_7 drawn uniformly, T - 1 blanks (a_8), the delimiter
    (a_9), ten blanks. Targets, 9 classes: T + 10 blanks, then the ten symbols in order. The loss is the mean over all
    T + 20 steps, `accuracy` that over the ten recalled steps.

    Baseline: blanks, then uniform guesses among the eight symbols, 10 ln 8 / (T + 20) nats. Solved (criterion of this
    project; the paper compares curves): 99 % accuracy on the test set.

    >>> import jax
    >>> from rnn_jax import tasks
    >>> batch = tasks.Copying(length=100).sample(jax.random.key(0), batch_size=32)
    >>> batch.inputs.shape, batch.targets.shape  # [T + 20, B, 10] one-hot, [T + 20, B] classes
    ((120, 32, 10), (120, 32))

    Args:
      length: number of steps between the symbols and their recall, T.

    Raises:
      ValueError: if T < 1.
    """

    length: int = 100

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.length, "copying: length")

    @property
    def variant(self) -> str:
        return "Arjovsky 2016"

    @property
    def sequence_length(self) -> int:
        return self.length + 2 * RECALLED

    @property
    def dependency(self) -> int:
        return self.length + RECALLED

    def sequence(self, key: jax.Array) -> Batch:
        symbols = pick(jax.random.uniform(key, (RECALLED,)), 0, ALPHABET)
        blanks = jnp.full(self.length + RECALLED, BLANK)
        inputs = jnp.concatenate([symbols, blanks.at[self.length - 1].set(DELIMITER)])
        return Batch(
            inputs=jax.nn.one_hot(inputs, self.input_size),
            targets=jnp.concatenate([blanks, symbols]),
            weights=jnp.ones(self.sequence_length),
        )


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class VariableCopying(Recall):
    """Copying after a blank of unknown length, as in Tallec & Ollivier 2018 (arXiv:1804.11188) and Henaff et al. 2016.

    As `Copying`, but with 1 to T blanks (a_8) between the ten symbols and the delimiter, the number drawn uniformly for
    each sequence, so that counting steps does not show when to answer. Inputs, up to T + 21 one-hot steps: the symbols,
    the blanks, the delimiter (a_9), ten blanks; then padding. The loss is the mean over the steps without padding of
    all sequences, so each step has the same weight. `accuracy` is the mean over the ten recalled steps.

    Baseline: blanks up to the delimiter, then uniform guesses among the eight symbols: 10 ln 8 nats over the mean
    number of steps, 21 + (T + 1) / 2. This is the value in one large batch; the mean over batches of 20 is up to 2 %
    higher. Solved (criterion of this project): 99 % accuracy on the test set.

    Args:
      length: largest number of blanks before the delimiter, T.

    Raises:
      ValueError: if T < 1.
    """

    length: int = 100

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.length, "copying_variable: length")

    @property
    def variant(self) -> str:
        return "Tallec 2018"

    @property
    def sequence_length(self) -> int:
        return self.length + 2 * RECALLED + 1

    @property
    def mean_steps(self) -> float:
        return 2 * RECALLED + 1 + (self.length + 1) / 2

    @property
    def dependency(self) -> int:
        return self.length + RECALLED + 1

    def sequence(self, key: jax.Array) -> Batch:
        u = jax.random.uniform(key, (RECALLED + 1,))
        symbols, blanks = pick(u[:-1], 0, ALPHABET), pick(u[-1], 1, self.length + 1)
        delimiter = RECALLED + blanks
        answered = delimiter + 1 + jnp.arange(RECALLED)
        real = jnp.arange(self.sequence_length) <= answered[-1]
        blank = jnp.full(self.sequence_length, BLANK)
        inputs = blank.at[:RECALLED].set(symbols).at[delimiter].set(DELIMITER)
        inputs = jnp.where(real, inputs, -1)  # one_hot of -1 is all zeros: padding
        return Batch(
            inputs=jax.nn.one_hot(inputs, self.input_size),
            targets=blank.at[answered].set(symbols),
            weights=real.astype(u.dtype),
        )
