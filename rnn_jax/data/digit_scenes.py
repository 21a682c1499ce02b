"""Scenes of one to three digits and the sentences that describe them.

    alone   one digit anywhere              a seven alone
    beside  two, side by side               a seven to the left of an eight    two sevens side by side
    above   two, one above the other        a seven above an eight             two sevens one above the other
    row     three, from left to right       an eight between a seven and a one    an eight between two sevens

Digits of a scene do not overlap. A sentence begins differently if two digits are equal, an article depends on the next
word, and of a row the digit in the middle comes first: a word depends on more than one position of the image.
"""

import jax
import jax.numpy as jnp

KINDS = ("alone", "beside", "above", "row")
COUNTS = (1, 2, 2, 3)  # digits of each kind
MOST = max(COUNTS)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MAX_TOKENS = 10  # of a caption, END included; the longest sentence has 9

Sentence = tuple[str, ...]


def sentence(kind: int, digits: tuple[int, ...]) -> Sentence:
    """Returns the words about digits that are given from the left, or from above."""
    first, *others = digits[: COUNTS[kind]]
    if KINDS[kind] == "alone":
        return (*_singular(first), "alone")
    if KINDS[kind] == "row":
        middle, last = others
        if first == last:
            return (*_singular(middle), "between", "two", _plural(first))
        return (*_singular(middle), "between", *_singular(first), "and", *_singular(last))
    (other,) = others
    if first == other:
        ending = ("side", "by", "side") if KINDS[kind] == "beside" else ("one", "above", "the", "other")
        return ("two", _plural(first), *ending)
    relation = ("to", "the", "left", "of") if KINDS[kind] == "beside" else ("above",)
    return (*_singular(first), *relation, *_singular(other))


def _singular(digit: int) -> tuple[str, str]:
    return ("an" if NUMBERS[digit] == "eight" else "a", NUMBERS[digit])


def _plural(digit: int) -> str:
    return NUMBERS[digit] + ("es" if NUMBERS[digit] == "six" else "s")


def form(words: Sentence) -> Sentence:
    """Returns a sentence with its articles and numbers left blank."""
    blank = {*NUMBERS, *map(_plural, range(10)), "a", "an"}
    return tuple("_" if word in blank else word for word in words)


def edge(side: int) -> int:
    """Returns the pixels of a scene's edge: three digits fit; a multiple of 8, as three convolutions halve it."""
    return -(-(MOST * side + 4) // 8) * 8


def compose(key: jax.Array, images: jax.Array, kind: jax.Array) -> jax.Array:
    """Composes a scene [edge, edge, 1] of images [3, side, side] at random positions that its kind allows."""
    size, count = edge(images.shape[-1]), jnp.array(COUNTS)[kind]
    positions = _positions(key, images.shape[-1], size)[kind]
    scene = empty = jnp.zeros((size, size), images.dtype)
    for place, (image, position) in enumerate(zip(images, positions, strict=True)):
        digit = jax.lax.dynamic_update_slice(empty, jnp.where(place < count, image, 0), tuple(position))
        scene = jnp.maximum(scene, digit)
    return scene[..., None]


def _positions(key: jax.Array, side: int, size: int) -> jax.Array:
    """Returns the (top, left) of each digit for each kind [kinds, 3, 2]."""
    room, half, third = size - side, size // 2, size // MOST
    draws = jax.random.uniform(key, (2, MOST))

    def up_to(most: int, draw: jax.Array) -> jax.Array:
        return jnp.floor(draw * (most + 1)).astype(jnp.int32)

    anywhere = up_to(room, draws[0])
    # At most half a digit higher or lower than the first one, so that neither is above the other.
    level = jnp.clip(anywhere[0] + up_to(side, draws[0]) - side // 2, 0, room).at[0].set(anywhere[0])
    halves = jnp.array([0, half, half]) + up_to(half - side, draws[1])
    thirds = third * jnp.arange(MOST) + up_to(third - side, draws[1])
    alone = jnp.stack([anywhere, up_to(room, draws[1])], axis=-1)
    beside = jnp.stack([level, halves], axis=-1)
    return jnp.stack([alone, beside, beside[:, ::-1], jnp.stack([level, thirds], axis=-1)])
