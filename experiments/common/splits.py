"""From read sequences to examples: splits without those that a later split repeats, and padding to buckets."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from experiments.common.flags import UserError
from rnn_jax.data import Buckets, Examples, pad
from rnn_jax.data.text import SPLITS

Example = TypeVar("Example")


def shares(percents: Sequence[str]) -> list[float]:
    """Returns the shares in `--split`, a comma list of percents.

    Raises:
      UserError: if one is not a number.
    """
    try:
        return [float(percent) / 100 for percent in percents]
    except ValueError as error:
        raise UserError(f"--split must be three numbers, got {','.join(percents)!r}") from error


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


def sizes(examples: Mapping[str, Sequence[Any]], removed: Mapping[str, int], nouns: str) -> dict[str, int]:
    """Returns the fields of a record with the number of examples of each split, and of those removed from it."""
    counts = {f"{name}/{nouns}": len(each) for name, each in examples.items()}
    return counts | {f"{name}/removed": count for name, count in removed.items()}


def removed_note(removed: Mapping[str, int], nouns: str) -> str:
    """Returns the sentence of a table's caption about the examples that `without_repeats` removed."""
    return (
        f"Removed because a later split repeats them: {removed['training']} {nouns} of the training set, "
        f"{removed['validation']} of the validation set."
    )


def bucketed(sequences: Mapping[str, Sequence[Any]], lengths: tuple[int, ...]) -> tuple[list[Examples], np.ndarray]:
    """Pads sequences to the lengths of buckets.

    Args:
      sequences: N sequences [n_i, ...] by name; those of one example have the same length under every name.
      lengths: lengths of the buckets; if a sequence is longer, there is one more bucket, as long as the longest.

    Returns:
      The examples of each bucket that has any (`steps`: arrays [T, n, ...] by name; `whole`: lengths [n]), and the
      indices [N] of the sequences in this order.
    """
    counts = [len(each) for each in next(iter(sequences.values()))]
    buckets = Buckets(lengths if max(counts) <= lengths[-1] else (*lengths, max(counts)))
    members = [chosen for chosen in buckets.members(counts) if len(chosen)]
    examples = []
    for chosen in members:
        padded = {name: pad([each[index] for index in chosen]).values for name, each in sequences.items()}
        whole = jnp.asarray([counts[index] for index in chosen], jnp.int32)
        examples.append(Examples({name: jnp.asarray(values) for name, values in padded.items()}, whole))
    return examples, np.concatenate(members)
