"""Labelled texts as arrays: without duplicates, split, encoded by a vocabulary of the training set."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common import splits
from experiments.common.classification import ClassifierConfig
from experiments.common.flags import UserError, setting, user_errors
from rnn_jax.applications import TextClassifier
from rnn_jax.data import Buckets, Examples, Labelled, Vocabulary, distinct, pad, read_labelled, split_labelled
from rnn_jax.data.text import SPLITS
from rnn_jax.models import Classifier

BUCKETS = 3  # lengths that texts are padded to; each is compiled

Tokenizer = Callable[[str], Sequence[str]]


@dataclasses.dataclass(frozen=True)
class TextConfig(ClassifierConfig):
    """Flags of every experiment that classifies texts."""

    data: str | None = setting(
        None,
        "Folder of CLASS.txt with one text per line (or of rt-polarity.neg and .pos), or a .csv or .tsv with columns "
        "label and text; by default texts made by a grammar.",
    )


class Split(NamedTuple):
    """Texts of a split, and the same as arrays in buckets."""

    labelled: Labelled
    buckets: list[Examples]  # steps: ids [T, n]; whole: (lengths [n], labels [n])
    order: np.ndarray  # index in `labelled` of each text, bucket after bucket [N]

    @property
    def labels(self) -> np.ndarray:
        """Class of each text [N]."""
        return self.labelled.labels


@dataclasses.dataclass(frozen=True, eq=False)
class Texts:
    """Data of a run."""

    source: str  # description
    removed: int  # duplicates within a class
    tokenizer: Tokenizer  # function that cuts a text into tokens
    vocabulary: Vocabulary  # tokens of the training set
    splits: dict[str, Split]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.splits["training"].labelled.classes

    @property
    def longest(self) -> int:
        """Number of tokens of the longest text."""
        return max(len(examples.steps) for split in self.splits.values() for examples in split.buckets)

    def application(self, model: Classifier) -> TextClassifier:
        """Returns a model as one that classifies texts."""
        return TextClassifier(model, self.vocabulary, self.classes, self.tokenizer)

    @property
    def note(self) -> str:
        """End of a table's caption."""
        return f"{len(self.vocabulary):,} tokens in the vocabulary; {self.removed:,} duplicates removed."


def load(
    config: TextConfig, default: Callable[[], Labelled], source: str, tokenizer: Tokenizer, min_count: int = 1
) -> Texts:
    """Reads labelled texts, removes duplicates, splits, and only then counts tokens.

    Args:
      config: path, split and seed.
      default: function that makes the texts if no path is given.
      source: description of those.
      tokenizer: function that cuts a text into tokens.
      min_count: occurrences in the training set from which a token is in the vocabulary.

    Raises:
      UserError: if the file cannot be read or cannot be split, or no token is frequent enough.
    """
    shares = splits.shares(config.split)
    source = config.data or source
    with user_errors("--data"):
        everything = default() if config.data is None else read_labelled(config.data)
    texts = distinct(everything)
    with user_errors(f"--split={','.join(config.split)}, {source}"):
        by_split = dict(zip(SPLITS, split_labelled(texts, shares, config.seed), strict=True))
    try:
        vocabulary = Vocabulary.of([tokenizer(text) for text in by_split["training"].texts], min_count)
    except ValueError as error:
        raise UserError(f"{source}: no token occurs --min_count={min_count} times in the training set") from error
    encoded = {name: encode(labelled, vocabulary, tokenizer) for name, labelled in by_split.items()}
    return Texts(source, len(everything.texts) - len(texts.texts), tokenizer, vocabulary, encoded)


def encode(labelled: Labelled, vocabulary: Vocabulary, tokenizer: Tokenizer) -> Split:
    """Returns labelled texts with their arrays."""
    ids = [vocabulary.encode(tokenizer(text)) for text in labelled.texts]
    members = Buckets.of(ids, BUCKETS).members([len(each) for each in ids])
    buckets = []
    for indices in members:
        padded = pad([ids[i] for i in indices])
        whole = jnp.asarray(padded.lengths), jnp.asarray(labelled.labels[indices])
        buckets.append(Examples(jnp.asarray(padded.values), whole))
    return Split(labelled, buckets, np.concatenate(members))
