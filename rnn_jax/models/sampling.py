"""Strategies that choose the next token given a model's logits.

A strategy is a frozen dataclass. Called with logits [..., V] it returns the logits [..., V] of the distribution to draw
a token from, -inf for excluded tokens; so its probabilities can be inspected, and `jax.random.categorical` draws from
it. Among equal logits the lower id comes first. NaN logits, as of a network that has diverged, stay NaN.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.static import Static


@dataclasses.dataclass(frozen=True)
class Greedy(Static):
    """Always the most probable token."""

    def __call__(self, logits: jax.Array) -> jax.Array:
        best = jax.nn.one_hot(jnp.argmax(logits, axis=-1), logits.shape[-1], dtype=bool)
        chosen = jnp.where(best, 0.0, -jnp.inf).astype(logits.dtype)
        return jnp.where(jnp.any(jnp.isnan(logits), axis=-1, keepdims=True), logits, chosen)


@dataclasses.dataclass(frozen=True)
class Temperature(Static):
    """q(v) = p(v)^(1/t) / sum_u p(u)^(1/t): t = 1 is the model's distribution, t -> 0 the greedy choice.

    Ackley, Hinton & Sejnowski 1985, "A learning algorithm for Boltzmann machines".

    Args:
      temperature: t.

    Raises:
      ValueError: if the temperature is not a positive number of float32.
    """

    temperature: float = 1.0

    def __post_init__(self) -> None:
        checks.positive(self.temperature, "Temperature: temperature")

    def __call__(self, logits: jax.Array) -> jax.Array:
        return _tempered(logits, self.temperature)


@dataclasses.dataclass(frozen=True)
class TopK(Static):
    """The k most probable tokens, with their probabilities renormalised; Fan et al. 2018 (arXiv:1805.04833).

    Args:
      k: number of tokens.
      temperature: temperature applied first, as in `Temperature`.

    Raises:
      ValueError: if k is not a positive integer or the temperature not a positive number; when called, if the
        vocabulary has fewer than k tokens.
    """

    k: int
    temperature: float = 1.0

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.k, "TopK: k")
        checks.positive(self.temperature, "TopK: temperature")

    def __call__(self, logits: jax.Array) -> jax.Array:
        if self.k > logits.shape[-1]:
            raise ValueError(f"TopK: k must be at most the vocabulary's size, {logits.shape[-1]}, got {self.k}")
        return jnp.where(_ranks(logits) < self.k, _tempered(logits, self.temperature), -jnp.inf)


@dataclasses.dataclass(frozen=True)
class Nucleus(Static):
    """The smallest set of most probable tokens whose total probability is at least p, renormalised ("top-p").

    Holtzman et al. 2020 (arXiv:1904.09751).

    Args:
      p: total probability.
      temperature: temperature applied first, as in `Temperature`.

    Raises:
      ValueError: if p is not in (0, 1], or the temperature not a positive number.
    """

    p: float
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.p, int | float) or isinstance(self.p, bool) or not 0 < self.p <= 1:
            raise ValueError(f"Nucleus: p must be a number above 0 and at most 1, got {self.p!r}")
        checks.positive(self.temperature, "Nucleus: temperature")

    def __call__(self, logits: jax.Array) -> jax.Array:
        logits = _tempered(logits, self.temperature)
        ranks = _ranks(logits)
        descending = jnp.flip(jnp.sort(jax.nn.softmax(logits), axis=-1), axis=-1)
        # A token belongs to the set if those before it have less than p in total, that is, if it and those after it
        # have more than 1 - p. Summing from the smallest is exact for small sums, so p = 1 keeps every token whose
        # probability is above 0.
        after = jnp.flip(jnp.cumsum(jnp.flip(descending, axis=-1), axis=-1), axis=-1)
        kept = jnp.sum(after > 1 - self.p, axis=-1, keepdims=True)
        return jnp.where(ranks < jnp.maximum(kept, 1), logits, -jnp.inf)


# One of the above, or a user-defined one that is hashable by value.
Strategy = Callable[[jax.Array], jax.Array]


def _tempered(logits: jax.Array, temperature: float) -> jax.Array:
    """Returns logits [..., V] over the temperature; if one overflows, less the largest of its row."""
    scaled = logits / temperature
    highest = jnp.max(logits, axis=-1, keepdims=True)
    below = logits - jnp.where(jnp.isfinite(highest), highest, 0)
    # XLA takes numbers below 1e-38, or their inverse, for zero: the divisions 0 / 1e-39 and -inf / 3e38 give NaN.
    below = jnp.where(jnp.isfinite(below) & (below != 0), below / temperature, below)
    overflow = jnp.isfinite(logits) & ~jnp.isfinite(scaled) | jnp.isnan(scaled)
    return jnp.where(jnp.any(overflow, axis=-1, keepdims=True), below, scaled)


def _ranks(logits: jax.Array) -> Any:
    """Returns the ranks of logits [..., V]: 0 for the largest, 1 for the next."""
    return jnp.argsort(jnp.argsort(logits, axis=-1, descending=True), axis=-1)
