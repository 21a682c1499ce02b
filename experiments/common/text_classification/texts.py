"""Labelled texts made ready for a network: split, then encoded by a vocabulary of the training part alone."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common.flags import UserError
from rnn_jax.data import Buckets, Examples, Labelled, Vocabulary, distinct, pad, read_labelled, split_labelled
from rnn_jax.data.text import SPLITS

BUCKETS = 3  # lengths that sequences are padded to, each a program

Tokens = Callable[[str], Sequence[str]]


class Part(NamedTuple):
    """A part as texts and as arrays."""

    labelled: Labelled
    buckets: list[Examples]  # steps: ids [T, n]; whole: (lengths [n], labels [n])
    members: list[np.ndarray]  # the texts of each bucket

    @property
    def labels(self) -> np.ndarray:
        return self.labelled.labels


@dataclasses.dataclass(frozen=True, eq=False)
class Texts:
    """All texts of an experiment."""

    source: str  # in words
    repeated: int  # texts left out, as the same stood in the same class
    tokens: Tokens  # of a text
    vocabulary: Vocabulary
    parts: dict[str, Part]  # by name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.parts["training"].labelled.classes

    @property
    def longest(self) -> int:
        """In tokens."""
        return max(bucket.steps.shape[0] for part in self.parts.values() for bucket in part.buckets)


def read(
    data: str | None,
    default: Callable[[], Labelled],
    default_source: str,
    percents: Sequence[str],
    seed: int,
    tokens: Tokens,
    min_count: int,
) -> Texts:
    """Reads, leaves repetitions out, splits, and only then counts tokens.

    Args:
      data: the path of `--data`; None: the default.
      default: makes the texts that need no file.
      default_source: what they are, in words.
      percents: of the parts, `--split`.
      seed: of the split.
      tokens: cuts a text.
      min_count: leaves a token out of the vocabulary that comes less often in the training part.

    Raises:
      UserError: where the file cannot be read or cannot be split.
    """
    source = default_source if data is None else data
    try:
        shares = [float(percent) / 100 for percent in percents]
    except ValueError as error:
        raise UserError(f"--split must be three numbers, got {','.join(percents)!r}") from error
    try:
        everything = default() if data is None else read_labelled(data)
    except ValueError as error:
        raise UserError(f"--data: {error}") from error
    once = distinct(everything)
    try:
        parts = split_labelled(once, shares, seed)
    except ValueError as error:
        raise UserError(f"--split={','.join(percents)}, {source}: {error}") from error
    try:
        vocabulary = Vocabulary.of([tokens(text) for text in parts[0].texts], min_count)
    except ValueError as error:
        raise UserError(f"{source}: no token comes --min_count={min_count} times in the training part") from error
    made = {name: part_of(each, vocabulary, tokens) for name, each in zip(SPLITS, parts, strict=True)}
    return Texts(source, len(everything.texts) - len(once.texts), tokens, vocabulary, made)


def part_of(labelled: Labelled, vocabulary: Vocabulary, tokens: Tokens) -> Part:
    """Labelled texts as arrays."""
    ids = [vocabulary.encode(tokens(text)) for text in labelled.texts]
    members = Buckets.of(ids, BUCKETS).members([len(each) for each in ids])
    buckets = []
    for places in members:
        padded = pad([ids[i] for i in places])
        whole = jnp.asarray(padded.lengths), jnp.asarray(labelled.labels[places])
        buckets.append(Examples(jnp.asarray(padded.values), whole))
    return Part(labelled, buckets, members)
