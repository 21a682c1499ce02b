"""Labelled texts without repetitions, and split so that no text stands on two sides."""

import collections
import itertools
import math
from collections.abc import Sequence

import numpy as np

from rnn_jax import checks
from rnn_jax.data.labelled import Labelled, tidy
from rnn_jax.data.text import SPLITS


def same(text: str) -> str:
    """What two texts have in common that are taken for the same: all but case and white space."""
    return tidy(text).casefold()


def distinct(labelled: Labelled) -> Labelled:
    """Every text once a class, the first of those that are the `same`.

    A text that stands under several classes is no repetition but ambiguous, and stays under each.
    """
    first: dict[tuple[str, int], int] = {}
    for place, (text, label) in enumerate(zip(labelled.texts, labelled.labels.tolist(), strict=True)):
        first.setdefault((same(text), label), place)
    return labelled.take(list(first.values()))


def best_possible(labelled: Labelled) -> float:
    """The accuracy that no reader of the texts alone can exceed: of those that are the `same` it names one class."""
    counts: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    for text, label in zip(labelled.texts, labelled.labels.tolist(), strict=True):
        counts[same(text)][label] += 1
    return sum(max(of_text.values()) for of_text in counts.values()) / len(labelled.texts)


def split_labelled(
    labelled: Labelled, shares: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> tuple[Labelled, Labelled, Labelled]:
    """Training, validation and test part: at random, each class in these shares, texts that are the `same` together.

    An ambiguous text goes with all its classes to one part, and is counted with the rarest of them. Each part has at
    least one text of each class.

    Args:
      labelled: without repetitions, as `distinct` gives it, or with: they stay together.
      shares: of the parts.
      seed: of the draw.

    Raises:
      ValueError: where shares are not three positive numbers with the sum 1, or a class has not three texts of its own.
    """
    if len(shares) != len(SPLITS):
        raise ValueError(
            f"split_labelled: shares must be {len(SPLITS)} numbers, of {', '.join(SPLITS)}, got {len(shares)}"
        )
    for part, share in zip(SPLITS, shares, strict=True):
        checks.positive(share, f"split_labelled: the {part} share")
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError(f"split_labelled: shares must have the sum 1, got {sum(shares):g}")
    counts = np.bincount(labelled.labels, minlength=len(labelled.classes))
    groups: dict[str, list[int]] = {}
    for place, text in enumerate(labelled.texts):
        groups.setdefault(same(text), []).append(place)
    of_class: list[list[list[int]]] = [[] for _ in labelled.classes]
    for group in groups.values():
        of_class[min((int(labelled.labels[i]) for i in group), key=lambda label: counts[label])].append(group)
    rng = np.random.default_rng(seed)
    parts: list[list[int]] = [[] for _ in SPLITS]
    for name, members in zip(labelled.classes, of_class, strict=True):
        size = len(members)
        if size < len(SPLITS):
            raise ValueError(f"split_labelled: class {name!r} must have at least {len(SPLITS)} texts, got {size}")
        first = min(max(round(size * shares[0]), 1), size - 2)
        second = min(max(round(size * (shares[0] + shares[1])), first + 1), size - 1)
        order = rng.permutation(size)
        for places, (start, stop) in zip(parts, itertools.pairwise([0, first, second, size]), strict=True):
            places += [place for i in order[start:stop] for place in members[i]]
    training, validation, test = (labelled.take(sorted(places)) for places in parts)
    return training, validation, test
