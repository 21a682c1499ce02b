"""Card games of POPGym (Morad et al. 2023, arXiv:2303.01859) as supervised tasks: the right action is the target."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.tasks.task import Batch, ExactAnswers

_SUITS = 4
_DECK = 52


def _shuffled(key: jax.Array, cards: int) -> jax.Array:
    """Returns the numbers 0..cards - 1 in random order."""
    return jnp.argsort(jax.random.uniform(key, (cards,)))


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class RepeatPrevious(ExactAnswers):
    """RepeatPrevious of POPGym with k = T: output the suit of the k-th last card.

    Inputs: the suits of shuffled decks of 52 cards, one-hot, one card a step. Target from step T on: the suit of the
    card T - 1 steps before (k counts the card shown, as in POPGym's code). There is one deck, and one more for each 32
    of T: POPGym's easy, medium and hard games are T = 4, 32 and 64.

    Baseline: guessing, ln 4 nats per step with a target. Solved (criterion of this project): 99 % accuracy on the test
    set.

    Args:
      length: which card to repeat, counted from the last one, T.

    Raises:
      ValueError: if T < 2.
    """

    length: int = 32

    def __post_init__(self) -> None:
        checks.integer_at_least(2, self.length, "repeat_previous: length", " steps")

    @property
    def variant(self) -> str:
        return "POPGym 2023"

    @property
    def input_size(self) -> int:
        return _SUITS

    @property
    def output_size(self) -> int:
        return _SUITS

    @property
    def sequence_length(self) -> int:
        return _DECK * (1 + self.length // 32)

    @property
    def dependency(self) -> int:
        return self.length - 1

    @property
    def baseline(self) -> float:
        return math.log(_SUITS)

    def sequence(self, key: jax.Array) -> Batch:
        suits = _shuffled(key, self.sequence_length) % _SUITS
        steps = jnp.arange(self.sequence_length)
        return Batch(
            inputs=jax.nn.one_hot(suits, _SUITS),
            targets=jnp.roll(suits, self.length - 1),
            weights=(steps >= self.length - 1).astype(jnp.result_type(float)),
        )


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Autoencode(ExactAnswers):
    """Autoencode of POPGym: output the suits of all cards seen, the last one first.

    Inputs, 2 T steps: T cards of shuffled suits, one-hot, with a fifth input of 1 ("watch"), then T steps of zeros.
    Target at each of the latter, 4 classes: the suits in reverse order. POPGym has T = 52, 104 and 156 cards, asks for
    the last one while it still shows it, and shows a constant card afterwards.

    Baseline: guessing by the suits' frequencies, ln 4 nats if T is a multiple of four. Solved (criterion of this
    project): 99 % accuracy on the test set.

    Args:
      length: number of cards, T.

    Raises:
      ValueError: if T < 2.
    """

    length: int = 52

    def __post_init__(self) -> None:
        checks.integer_at_least(2, self.length, "autoencode: length", " steps, one for each card")

    @property
    def variant(self) -> str:
        return "POPGym 2023"

    @property
    def input_size(self) -> int:
        return _SUITS + 1

    @property
    def output_size(self) -> int:
        return _SUITS

    @property
    def sequence_length(self) -> int:
        return 2 * self.length

    @property
    def dependency(self) -> int:
        return 2 * self.length - 1

    @property
    def baseline(self) -> float:
        shares = [len(range(suit, self.length, _SUITS)) / self.length for suit in range(_SUITS)]
        return -sum(share * math.log(share) for share in shares if share)

    def sequence(self, key: jax.Array) -> Batch:
        suits = _shuffled(key, self.length) % _SUITS
        watched = jnp.concatenate([jax.nn.one_hot(suits, _SUITS), jnp.ones((self.length, 1))], axis=1)
        return Batch(
            inputs=jnp.concatenate([watched, jnp.zeros_like(watched)]),
            targets=jnp.concatenate([jnp.zeros_like(suits), suits[::-1]]),
            weights=(jnp.arange(2 * self.length) >= self.length).astype(watched.dtype),
        )


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Concentration(ExactAnswers):
    """Concentration (memory, pairs) after POPGym: where did this picture lie?

    Inputs, 2 T steps: T pairs of cards lie face down in random order and are turned one after the other; each step
    shows a position and its picture, both one-hot, 2 T + T inputs. Target, 2 T + 1 classes: the position of the card
    with the same picture if it has been shown before, else class 2 T, "new". The loss is the mean over all steps,
    `accuracy` that over the second cards of the pairs. In POPGym the player chooses which two cards to turn; here the
    order is fixed, so that the right answer is known. POPGym plays with 52 cards, T = 26.

    Baseline: whether a card is new is known, and a second card at step t (from 0) is guessed among the t positions
    before: the sum of t ln t / (2 T - 1) over the steps, over 2 T, in nats. Solved (criterion of this project): 99 %
    accuracy on the test set.

    Args:
      length: number of pairs, T.

    Raises:
      ValueError: if T < 2.
    """

    length: int = 26

    def __post_init__(self) -> None:
        checks.integer_at_least(2, self.length, "concentration: length", " steps, one for each pair")

    @property
    def variant(self) -> str:
        return "after POPGym 2023"

    @property
    def input_size(self) -> int:
        return 3 * self.length

    @property
    def output_size(self) -> int:
        return 2 * self.length + 1

    @property
    def sequence_length(self) -> int:
        return 2 * self.length

    @property
    def dependency(self) -> int:
        return 2 * self.length - 1

    @property
    def baseline(self) -> float:
        cards = 2 * self.length
        return sum(t * math.log(t) for t in range(1, cards)) / (cards - 1) / cards

    def sequence(self, key: jax.Array) -> Batch:
        pictures = _shuffled(key, 2 * self.length) // 2
        positions = jnp.arange(2 * self.length)
        before = (pictures[:, None] == pictures[None]) & (positions[None] < positions[:, None])
        return Batch(
            inputs=jnp.concatenate([jnp.eye(2 * self.length), jax.nn.one_hot(pictures, self.length)], axis=1),
            targets=jnp.where(jnp.any(before, axis=1), jnp.argmax(before, axis=1), 2 * self.length),
            weights=jnp.ones(2 * self.length),
        )

    def scored(self, batch: Batch) -> jax.Array:
        return batch.weights * (batch.targets < 2 * self.length)
