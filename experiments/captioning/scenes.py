"""Scenes of one to three digits and the sentences that say how they stand to each other.

    alone   one digit anywhere              a seven alone
    beside  two, side by side               a seven to the left of an eight    two sevens side by side
    above   two, one above the other        a seven above an eight             two sevens one above the other
    row     three, from left to right       an eight between a seven and a one    an eight between two sevens

Digits of a scene do not overlap. A sentence begins otherwise where two digits are the same, its article hangs on the
word behind it, and in a row the digit in the middle comes first: so a word is more than what stands at one place.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.digit_images import Digits

KINDS = ("alone", "beside", "above", "row")
COUNTS = (1, 2, 2, 3)  # digits of each kind
MOST = max(COUNTS)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def sentence(kind: int, digits: tuple[int, ...]) -> tuple[str, ...]:
    """The words about digits in their order: from the left, or from above."""
    first, *others = digits[: COUNTS[kind]]
    if KINDS[kind] == "alone":
        return (*_one(first), "alone")
    if KINDS[kind] == "row":
        middle, last = others
        if first == last:
            return (*_one(middle), "between", "two", _several(first))
        return (*_one(middle), "between", *_one(first), "and", *_one(last))
    (other,) = others
    if first == other:
        ending = ("side", "by", "side") if KINDS[kind] == "beside" else ("one", "above", "the", "other")
        return ("two", _several(first), *ending)
    relation = ("to", "the", "left", "of") if KINDS[kind] == "beside" else ("above",)
    return (*_one(first), *relation, *_one(other))


def _one(digit: int) -> tuple[str, str]:
    return ("an" if NUMBERS[digit] == "eight" else "a", NUMBERS[digit])


def _several(digit: int) -> str:
    return NUMBERS[digit] + ("es" if NUMBERS[digit] == "six" else "s")


def edge(side: int) -> int:
    """Pixels of a scene's edge: three digits and some room, a multiple of 8, as three convolutions halve it."""
    return -(-(MOST * side + 4) // 8) * 8


@dataclasses.dataclass(frozen=True, eq=False)
class Draft:
    """N scenes to be composed: which images, and how they stand."""

    images: np.ndarray  # [N, 3, side, side]; those beyond a kind's count are not looked at
    kinds: np.ndarray  # [N]
    sentences: list[tuple[str, ...]]


def draft(digits: Digits, count: int, rng: np.random.Generator) -> Draft:
    """Scenes of a part's images, of every kind as often as chance has it."""
    chosen = digits.draw(count * MOST, rng).reshape(count, MOST)
    kinds = rng.integers(len(KINDS), size=count)
    labels = digits.labels[chosen]
    sentences = [sentence(kind, tuple(row)) for kind, row in zip(kinds.tolist(), labels.tolist(), strict=True)]
    return Draft(digits.images[chosen], kinds, sentences)


def compose(key: jax.Array, images: jax.Array, kind: jax.Array) -> jax.Array:
    """A scene [edge, edge, 1] of images [3, side, side], at places drawn for its kind."""
    side = images.shape[-1]
    size = edge(side)
    places = _places(key, side, size)[kind]
    there = jnp.arange(MOST) < jnp.array(COUNTS)[kind]
    scene = jnp.zeros((size, size), images.dtype)
    for image, place, is_there in zip(images, places, there, strict=True):
        scene = jnp.maximum(
            scene, jax.lax.dynamic_update_slice(jnp.zeros_like(scene), jnp.where(is_there, image, 0), tuple(place))
        )
    return scene[..., None]


def _places(key: jax.Array, side: int, size: int) -> jax.Array:
    """For each kind the (top, left) of each digit, [kinds, 3, 2]."""
    room, half, third = size - side, size // 2, size // MOST
    draws = jax.random.uniform(key, (2, MOST))

    def within(draw: jax.Array, most: int) -> jax.Array:
        return jnp.floor(draw * (most + 1)).astype(jnp.int32)

    anywhere = within(draws[0], room)
    # Beside the first by half a digit at the most, so that nobody would call them one above the other.
    level = jnp.clip(anywhere[0] + within(draws[0], side) - side // 2, 0, room).at[0].set(anywhere[0])
    halves = jnp.array([0, half, half]) + within(draws[1], half - side)
    thirds = third * jnp.arange(MOST) + within(draws[1], third - side)
    alone = jnp.stack([anywhere, within(draws[1], room)], axis=-1)
    beside = jnp.stack([level, halves], axis=-1)
    return jnp.stack([alone, beside, beside[:, ::-1], jnp.stack([level, thirds], axis=-1)])
