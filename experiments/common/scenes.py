"""The three splits of the scenes of digits, and their sentences: see `rnn_jax.data.digit_scenes`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import digit_images
from experiments.common.digit_images import Digits
from rnn_jax.data import Examples, Vocabulary, pad
from rnn_jax.data.digit_scenes import KINDS, MOST, Sentence, compose, sentence


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
    digits, rng = digit_images.read(folder, "captions.csv"), np.random.default_rng(seed)
    training = split(digits.training, count, rng)
    validation = split(digits.validation, tested, rng, training.words, seed)
    return Data(digits.source, training, validation, split(digits.test, tested, rng, training.words, seed + 1))


def note(data: Data) -> str:
    """Returns the first line of output: source and sizes of the data."""
    side = data.training.examples.whole["images"].shape[-1]
    sizes = [len(split.kinds) for split in (data.training, data.validation, data.test)]
    return (
        f"{data.source}: scenes of digits, {side} x {side} pixels each; {sizes[0]:,} training scenes in an epoch, "
        f"{sizes[1]:,} validation, {sizes[2]:,} test, of other images; {len(data.training.words)} words"
    )


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
