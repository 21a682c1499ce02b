"""Scenes of one to three digits, the sentences that describe them, and the three splits.

    alone   one digit anywhere              a seven alone
    beside  two, side by side               a seven to the left of an eight    two sevens side by side
    above   two, one above the other        a seven above an eight             two sevens one above the other
    row     three, from left to right       an eight between a seven and a one    an eight between two sevens

Digits of a scene do not overlap. A sentence begins differently if two digits are equal, an article depends on the next
word, and of a row the digit in the middle comes first: a word depends on more than one position of the image.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import digit_images
from experiments.common.digit_images import Digits
from rnn_jax.data import Examples, Vocabulary, pad

KINDS = ("alone", "beside", "above", "row")
COUNTS = (1, 2, 2, 3)  # digits of each kind
MOST = max(COUNTS)
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MAX_TOKENS = 10  # of a caption, END included; the longest sentence has 9

Sentence = tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """N scenes and their sentences; those of the training set are composed anew in every epoch."""

    kinds: np.ndarray  # indices of KINDS [N]
    sentences: list[Sentence]
    words: Vocabulary  # of the training set
    # steps: target, ids of words and END [T, N]; whole: images [N, 3, side, side], kind [N], length [N] of the targets
    # and, except for training, scene [N, edge, edge, 1].
    examples: Examples


Data = digit_images.Splits[Split]


def load(folder: str | None, count: int, tested: int, seed: int) -> Data:
    """Returns the data of a run with `count` training scenes and `tested` scenes in each of the other two splits.

    Raises:
      UserError: if the folder's files cannot be used.
    """
    digits, rng = digit_images.read(folder), np.random.default_rng(seed)
    training = split(digits.training, count, rng)
    validation = split(digits.validation, tested, rng, training.words, seed)
    return Data(digits.source, training, validation, split(digits.test, tested, rng, training.words, seed + 1))


def split(
    digits: Digits, count: int, rng: np.random.Generator, words: Vocabulary | None = None, seed: int | None = None
) -> Split:
    """Returns scenes of random kinds; without a vocabulary it is made from their sentences.

    In a small training set a number may be missing: no caption of a test scene with that number can be right.
    """
    chosen = digits.draw(count * MOST, rng).reshape(count, MOST)
    kinds = rng.integers(len(KINDS), size=count)
    labels = digits.labels[chosen].tolist()
    sentences = [sentence(kind, tuple(row)) for kind, row in zip(kinds.tolist(), labels, strict=True)]
    words = words or Vocabulary.of(sentences)
    ids, lengths = pad([words.encode(each, end=True) for each in sentences])
    whole = {"images": jnp.asarray(digits.images[chosen]), "kind": jnp.asarray(kinds), "length": jnp.asarray(lengths)}
    if seed is not None:
        whole["scene"] = compose_all(whole, seed)
    return Split(kinds, sentences, words, Examples({"target": jnp.asarray(ids)}, whole))


def compose_all(whole: dict[str, jax.Array], seed: int) -> jax.Array:
    """Composes each of N scenes once [N, edge, edge, 1]."""
    keys = jax.random.split(jax.random.key(seed), len(whole["kind"]))
    return jax.jit(jax.vmap(compose))(keys, whole["images"], whole["kind"])


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
