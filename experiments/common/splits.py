"""Training, validation and test set: shares of one, files of the user's own, and what a later split repeats."""

import dataclasses
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from experiments.common.flags import MOST_SEED, Need, UserError, setting, user_errors
from rnn_jax.data.stratified import split_indices
from rnn_jax.data.text import SPLITS, check_shares

Example = TypeVar("Example")
Read = TypeVar("Read")
SHARES = (0.7, 0.15, 0.15)  # of a folder without a split: training, validation, test


class Folder(Protocol):
    """Examples of a user's folder; `read_folder` splits them."""

    @property
    def keys(self) -> Sequence[Hashable]:
        """Key of each example; those with equal keys are in one drawn split."""

    @property
    def names(self) -> Sequence[str]:
        """Class of each example; each drawn split has the same share of each."""

    @property
    def parts(self) -> Sequence[str] | None:
        """Split of each example, if the folder states it."""

    @property
    def places(self) -> Sequence[str]:
        """File of each example, and line if there is one, for messages."""

    def take(self, indices: Sequence[int]) -> Self:
        """Returns the examples at `indices`."""


Listed = TypeVar("Listed", bound=Folder)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """Flags that name a file for each split, so that an official one is kept: no example is moved or removed.

    A config gets them by a second base, `class Config(SplitFiles, FitConfig)`, and reads with

        read = config.read_splits(read_tagged)  # what the reader returns, by split; None: no flag is given, read --data

    and reports with `repeats` what comes again in a later split.
    """

    train: str | None = setting(
        None, "File of the training set; with --validation and --test in place of --data.", replaces=("tasks",)
    )
    validation: str | None = setting(
        None, "File of the validation set, which chooses the epoch.", replaces=("split", "validation_sources")
    )
    test: str | None = setting(None, "File of the test set.", replaces=("test_sources",))
    data_seed: int = setting(
        0,
        "Seed of generated data and random splits; with another --seed the data stays, and nothing is compiled anew.",
        least=0,
        most=MOST_SEED,
    )

    @property
    def files(self) -> dict[str, str]:
        """Paths by flag, of those that are given."""
        flags = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: path for name, path in flags.items() if path}

    def reads(self, is_folder: Callable[[str], bool]) -> bool:
        """Returns whether there are files of given splits, or `--data` has a form that `is_folder` knows."""
        data = getattr(self, "data", None)
        return bool(self.files) or (data is not None and is_folder(data))

    def read_splits(self, read: Callable[[str], Read], drawn: Sequence[str] = ()) -> dict[str, Read] | None:
        """Returns what a reader makes of the file of each split, or None if no file is given.

        Args:
          read: reader of a path that raises a ValueError if the file cannot be read.
          drawn: splits that the experiment can draw from the training set, so that their file may be missing.

        Raises:
          UserError: if some of the files are given and others not, `--data` is given too, or a file cannot be read.
        """
        if not self.files:
            return None
        flags = ("train", "validation", "test")
        *names, last = [f"--{name}" for name in flags if name not in drawn]
        if missing := [name for name in flags if name not in self.files and name not in drawn]:
            number = "three" if len(names) == 2 else "two"
            raise UserError(f"{', '.join(names)} and {last} must be {number} files, got no --{missing[0]}")
        if getattr(self, "data", None) is not None:
            raise UserError("--train, --validation and --test replace --data: give the three files or the folder")
        splits = {}
        for split, name in zip(SPLITS, flags, strict=True):
            if name in self.files:
                with user_errors(f"--{name}"):
                    splits[split] = read(self.files[name])
        return splits


MADE = Need(lambda config: not config.reads(bool), "with --data or --train")  # examples that are made if none are given


def kinds(nouns: str, is_folder: Callable[[str], bool]) -> tuple[Need, Need]:
    """Returns what flags need that are for examples of the user's own, and those for examples that are made instead.

    Args:
      nouns: name of the user's examples.
      is_folder: function from a path to whether it holds such examples.
    """
    source = f"{nouns} from --data or --train"
    own = Need(lambda config: config.reads(is_folder), f"without {source}")
    return own, Need(lambda config: not config.reads(is_folder), f"with {source}")


def read_folder(
    config: SplitFiles, data: str, read: Callable[[str], Listed], nouns: str, seed: int
) -> tuple[dict[str, Listed], str]:
    """Returns the examples of a user's folder by split, and how they are split.

    Given folders are used as they are, and so is a stated split of one folder; a missing validation set is drawn from
    the training set.

    Args:
      config: paths of given splits.
      data: path of the folder if there are none.
      read: reader of a path that raises a ValueError if the folder cannot be read.
      nouns: name of the examples.
      seed: seed of a random split.

    Raises:
      UserError: if a folder cannot be read or split, training or test set are missing, a given one states another
        split, or another split has a class that the training set lacks.
    """
    given, how = config.read_splits(read, drawn=("validation",)), "split as given"
    source, flag = (data, "--data") if given is None else (config.train, "--train")
    for name, each in (given or {}).items():
        with user_errors("--train" if name == "training" else f"--{name}"):
            _check_stated(each, name)
    with user_errors(flag):
        if given is None:
            everything = read(data)
            if everything.parts is None:
                return _drawn(everything, SPLITS, SHARES, source, nouns, seed), "split at random"
            members = {name: [i for i, part in enumerate(everything.parts) if part == name] for name in SPLITS}
            given, how = {name: everything.take(each) for name, each in members.items() if each}, "split by its column"
            if missing := [name for name in ("training", "test") if name not in given]:
                raise ValueError(f"{data}: column split must name a {missing[0]} set, got none")
        if "validation" not in given:
            both = _drawn(given["training"], SPLITS[:2], shares_of_training(SHARES), source, nouns, seed)
            given, how = {**given, **both}, f"{how}, validation drawn from training"
        known = sorted(set(given["training"].names))
        for split in given.values():
            for name, place in zip(split.names, split.places, strict=True):
                if name not in known:
                    raise ValueError(f"{place}: class {name!r} must be in the training set: {', '.join(known):.100}")
    return {name: given[name] for name in SPLITS}, how


def _check_stated(read: Folder, split: str) -> None:
    """Raises a ValueError if a file given as one split states another one for an example."""
    for stated, place in zip(read.parts or (), read.places, strict=False):
        if stated != split:
            raise ValueError(
                f"{place}: split must be {split}, as its file is given for that, got {stated!r}; give a file of all "
                "splits by --data"
            )


def _drawn(
    read: Listed, parts: Sequence[str], shares: Sequence[float], source: Any, nouns: str, seed: int
) -> dict[str, Listed]:
    """Returns examples drawn at random, with the same share of each class in each split."""
    classes, labels = np.unique(np.array(read.names), return_inverse=True)
    drawn = split_indices(read.keys, labels, classes.tolist(), shares, seed, str(source), f"different {nouns}")
    return {name: read.take(indices) for name, indices in zip(parts, drawn, strict=True)}


def shares(percents: Sequence[str]) -> list[float]:
    """Returns the shares in `--split`, a comma list of percents.

    Raises:
      UserError: if one is not a number.
    """
    try:
        return [float(percent) / 100 for percent in percents]
    except ValueError as error:
        raise UserError(f"--split must be three numbers, got {','.join(percents)!r}") from error


def shares_of_training(three: Sequence[float]) -> list[float]:
    """Returns the shares of training and validation set in a file of both, from those of all three splits.

    Raises:
      ValueError: if shares are not three positive numbers with the sum 1.
    """
    check_shares(three, "--split")
    both = three[0] + three[1]
    return [three[0] / both, three[1] / both]


def without_repeats(
    splits: Mapping[str, Sequence[Example]], key: Callable[[Example], Hashable], noun: str
) -> tuple[dict[str, list[Example]], dict[str, int]]:
    """Removes examples of the training and validation set that come again in a later split.

    The test set stays whole, so that scores compare with published ones.

    Args:
      splits: examples by split.
      key: function of an example; examples with equal keys are the same.
      noun: name of an example, for the message.

    Returns:
      The remaining examples by split, and the number of removed ones.

    Raises:
      UserError: if a split is empty then.
    """
    again = _comes_again(splits, key)
    kept = {name: [e for e, repeated in zip(splits[name], again[name], strict=True) if not repeated] for name in SPLITS}
    if empty := [name for name in SPLITS if not kept[name]]:
        raise UserError(f"--data: the {empty[0]} set has no {noun} that is not in a later split, too")
    return kept, repeats(splits, key)


def repeats(splits: Mapping[str, Sequence[Example]], key: Callable[[Example], Hashable]) -> dict[str, int]:
    """Returns the number of examples of the training and validation set that a later split has, too."""
    again = _comes_again(splits, key)
    return {name: sum(again[name]) for name in ("training", "validation")}


def _comes_again(splits: Mapping[str, Sequence[Example]], key: Callable[[Example], Hashable]) -> dict[str, list[bool]]:
    """Returns for each example of each split whether a later split has an equal one."""
    later: set[Hashable] = set()
    again = {}
    for name in reversed(SPLITS):
        keys = [key(example) for example in splits[name]]
        again[name] = [each in later for each in keys]
        later.update(keys)
    return again


def sizes(
    examples: Mapping[str, Sequence[Any]], counts: Mapping[str, int], nouns: str, counted: str = "removed"
) -> dict[str, int]:
    """Returns the fields of a record with the number of examples of each split, and of those removed from it.

    Args:
      examples: examples by split.
      counts: number of removed examples by split.
      nouns: name of examples.
      counted: "repeated" if the counts are those of `repeats`, and nothing was removed.
    """
    sizes = {f"{name}/{nouns}": len(each) for name, each in examples.items()}
    return sizes | {f"{name}/{counted}": count for name, count in counts.items()}


def removed_note(removed: Mapping[str, int], nouns: str) -> str:
    """Returns the sentence of a table's caption about the examples that `without_repeats` removed."""
    return f"{nouns.capitalize()} removed because a later split repeats them: {_counts(removed)}."


def repeats_note(repeated: Mapping[str, int], nouns: str) -> str:
    """Returns the sentence about the examples that `repeats` has counted, in files that are used as they are."""
    return f"{nouns.capitalize()} in a later split, too, and kept as the files have them: {_counts(repeated)}."


def _counts(numbers: Mapping[str, int]) -> str:
    return f"{numbers['training']:,} of the training set, {numbers['validation']:,} of the validation set"
