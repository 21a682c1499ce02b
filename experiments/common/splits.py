"""Training, validation and test set of a corpus, without examples that a later split repeats."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from experiments.common.flags import UserError
from rnn_jax.data.text import SPLITS

Example = TypeVar("Example")


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
    kept, later = {"test": list(splits["test"])}, {key(example) for example in splits["test"]}
    for name in ("validation", "training"):
        kept[name] = [example for example in splits[name] if key(example) not in later]
        later |= {key(example) for example in kept[name]}
    if empty := [name for name in SPLITS if not kept[name]]:
        raise UserError(f"--data: the {empty[0]} set has no {noun} that is not in a later split, too")
    return {name: kept[name] for name in SPLITS}, {n: len(splits[n]) - len(kept[n]) for n in ("training", "validation")}


def removed_note(removed: Mapping[str, int], nouns: str) -> str:
    """Returns the sentence of a table's caption about the examples that `without_repeats` removed."""
    return (
        f"Removed because a later split repeats them: {removed['training']} {nouns} of the training set, "
        f"{removed['validation']} of the validation set."
    )
