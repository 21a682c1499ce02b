"""Labelled texts as arrays: split, encoded by a vocabulary of the training set.

Duplicates are removed before a random split; files of a user's own split are used as they are.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from experiments.common import splits
from experiments.common.classification import ClassifierConfig
from experiments.common.flags import UserError, setting, user_errors
from experiments.common.splits import SplitFiles
from rnn_jax.applications import TextClassifier
from rnn_jax.data import Buckets, Examples, Labelled, Vocabulary, distinct, pad, read_labelled, split_labelled
from rnn_jax.data.labelled import DELIMITERS
from rnn_jax.data.stratified import same, split_indices
from rnn_jax.data.text import SPLITS
from rnn_jax.models import Classifier

BUCKETS = 3  # lengths that texts are padded to; each is compiled

Tokenizer = Callable[[str], Sequence[str]]


@dataclasses.dataclass(frozen=True)
class TextConfig(SplitFiles, ClassifierConfig):
    """Flags of every experiment that classifies texts."""

    data: str | None = setting(
        None,
        "Folder of CLASS.txt with one text per line (or of rt-polarity.neg and .pos), or a .csv or .tsv with columns "
        "label and text; by default texts made by a grammar.",
    )
    train: str | None = setting(
        None, "Training set in one of these forms; with --test, and --validation if there is one, in place of --data."
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

    source: str  # file of the texts, or of the training set; description of generated ones
    forms: Sequence[str]  # the files and how they are read
    changed: str  # sentence on duplicates
    repeated: Mapping[str, int]  # texts that a later split has, too, by split; empty if the split is drawn
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
        return f"{len(self.vocabulary):,} tokens in the vocabulary. {self.changed}"

    @property
    def lines(self) -> list[str]:
        """First lines of output: what was read."""
        sizes = ", ".join(f"{len(split.labels):,} {name}" for name, split in self.splits.items())
        return [*self.forms, f"{len(self.classes)} classes ({', '.join(self.classes):.60}); {sizes} texts. {self.note}"]

    @property
    def fields(self) -> dict[str, int]:
        """Fields that every record has."""
        return {f"{name}/repeated": count for name, count in self.repeated.items()}


def load(
    config: TextConfig, default: Callable[[], Labelled], source: str, tokenizer: Tokenizer, min_count: int = 1
) -> Texts:
    """Reads labelled texts, removes duplicates and splits, or reads a user's splits, and only then counts tokens.

    Args:
      config: path, split and its seed.
      default: function that makes the texts if no path is given.
      source: description of those.
      tokenizer: function that cuts a text into tokens.
      min_count: occurrences in the training set from which a token is in the vocabulary.

    Raises:
      UserError: if a file cannot be read or cannot be split, or no token is frequent enough.
    """
    shares, given = splits.shares(config.split), config.read_splits(read_labelled, drawn=("validation",))
    repeated: dict[str, int] = {}
    source = config.train or config.data or source
    if given is not None:
        forms = [f"--{name}={path}: {_form(path)}" for name, path in config.files.items()]
        with user_errors(f"--split={','.join(config.split)}"):
            by_split = _given(given, shares, config.data_seed)
        repeated = splits.repeats({name: each.texts for name, each in by_split.items()}, same)
        changed = splits.repeats_note(repeated, "texts")
    else:
        forms = [source if config.data is None else f"{source}: {_form(source)}"]
        with user_errors("--data"):
            everything = default() if config.data is None else read_labelled(config.data)
        texts = distinct(everything)
        with user_errors(f"--split={','.join(config.split)}, {source}"):
            by_split = dict(zip(SPLITS, split_labelled(texts, shares, config.data_seed), strict=True))
        changed = f"Duplicates removed: {len(everything.texts) - len(texts.texts):,}."
    try:
        vocabulary = Vocabulary.of([tokenizer(text) for text in by_split["training"].texts], min_count)
    except ValueError as error:
        raise UserError(f"{source}: no token occurs --min_count={min_count} times in the training set") from error
    encoded = {name: encode(labelled, vocabulary, tokenizer) for name, labelled in by_split.items()}
    return Texts(source, forms, changed, repeated, tokenizer, vocabulary, encoded)


def _form(path: str) -> str:
    """Returns how a path is read."""
    if delimiter := DELIMITERS.get(Path(path).suffix.lower()):
        return f"UTF-8, columns label and text, separated by {'commas' if delimiter == ',' else 'tabs'}"
    return "a file for each class, a text on each line"


def _given(read: Mapping[str, Labelled], shares: Sequence[float], seed: int) -> dict[str, Labelled]:
    """Returns a user's splits with the classes of the training set, from which a missing validation set is drawn.

    Raises:
      UserError: if a split has a class that the training set lacks.
      ValueError: if there is no validation set, and shares are not three positive numbers with the sum 1 or a class has
        fewer than two texts.
    """
    training, classes = read["training"], read["training"].classes
    made = dict(read)
    if "validation" not in read:
        keys, parts = [same(text) for text in training.texts], splits.shares_of_training(shares)
        drawn = split_indices(keys, training.labels, classes, parts, seed, "--split", "texts")
        made |= dict(zip(SPLITS, map(training.take, drawn), strict=False))
    for name, split in made.items():
        if missing := [each for each in split.classes if each not in classes]:
            raise UserError(
                f"--{name}: class {missing[0]!r} must be in the training set, which has {', '.join(classes):.100}"
            )
        index = np.array([classes.index(each) for each in split.classes], np.int32)
        made[name] = Labelled(split.texts, index[split.labels], classes)
    return {name: made[name] for name in SPLITS}


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
