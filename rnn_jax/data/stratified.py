"""Labelled texts without duplicates, and splits that do not share a text."""

import collections
import itertools
from collections.abc import Hashable, Sequence

import numpy as np

from rnn_jax.data.labelled import Labelled, tidy
from rnn_jax.data.text import check_shares


def same(text: str) -> str:
    """Returns the text without differences in case and white space: equal results mark duplicates."""
    return tidy(text).casefold()


def distinct(labelled: Labelled) -> Labelled:
    """Removes duplicates within each class; of texts that are the `same` the first stays.

    A text in several classes is ambiguous rather than a duplicate, and stays in each of them.

    >>> from rnn_jax import data
    >>> data.distinct(data.Labelled.of(["Good", "good", "bad", "good"], ["+", "+", "-", "-"])).texts
    ('Good', 'bad', 'good')
    """
    first: dict[tuple[str, int], int] = {}
    for i, (text, label) in enumerate(zip(labelled.texts, labelled.labels.tolist(), strict=True)):
        first.setdefault((same(text), label), i)
    return labelled.take(list(first.values()))


def best_possible(labelled: Labelled) -> float:
    """Returns the largest possible accuracy: a classifier can be right about one class of an ambiguous text only.

    >>> from rnn_jax import data
    >>> data.best_possible(data.Labelled.of(["good", "good", "bad", "good"], ["+", "+", "-", "-"]))
    0.75
    """
    counts: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    for text, label in zip(labelled.texts, labelled.labels.tolist(), strict=True):
        counts[same(text)][label] += 1
    return sum(max(by_label.values()) for by_label in counts.values()) / len(labelled.texts)


def split_labelled(
    labelled: Labelled, shares: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0
) -> tuple[Labelled, Labelled, Labelled]:
    """Splits labelled texts at random into training, validation and test sets with the same share of each class.

    Texts that are the `same` go to the same split. An ambiguous text goes there with all its classes, and counts as one
    of its rarest class. Each split has at least one text of each class.

    Args:
      labelled: texts, with or without duplicates.
      shares: fractions of training, validation and test, with the sum 1.
      seed: seed of the random split.

    Returns:
      Training, validation and test sets; each keeps the order of the texts given.

    Raises:
      ValueError: if shares are not three positive numbers with the sum 1, or a class has fewer than three texts.
    """
    check_shares(shares, "split_labelled")
    keys = [same(text) for text in labelled.texts]
    parts = split_indices(keys, labelled.labels, labelled.classes, shares, seed, "split_labelled", "texts")
    training, validation, test = (labelled.take(indices) for indices in parts)
    return training, validation, test


def split_indices(
    keys: Sequence[Hashable],
    labels: np.ndarray,
    classes: Sequence[str],
    shares: Sequence[float],
    seed: int,
    who: str,
    nouns: str,
) -> list[list[int]]:
    """Splits labelled examples as `split_labelled` does: examples with equal keys go to the same part.

    Args:
      keys: key of each example.
      labels: index into `classes` of each example [N].
      classes: names of the classes.
      shares: fraction of each part, with the sum 1.
      seed: seed of the random split.
      who: name of the calling function, for messages.
      nouns: name of the examples, for messages.

    Returns:
      The indices of each part, sorted.

    Raises:
      ValueError: if a class has fewer examples than there are parts.
    """
    counts = np.bincount(labels, minlength=len(classes))
    groups: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        groups.setdefault(key, []).append(i)
    by_class: list[list[list[int]]] = [[] for _ in classes]
    for group in groups.values():
        by_class[min((int(labels[i]) for i in group), key=lambda label: counts[label])].append(group)
    rng = np.random.default_rng(seed)
    parts: list[list[int]] = [[] for _ in shares]
    for name, members in zip(classes, by_class, strict=True):
        size, ends = len(members), [0]
        if size < len(shares):
            raise ValueError(f"{who}: class {name!r} must have at least {len(shares)} {nouns}, got {size}")
        for place, share in enumerate(itertools.accumulate(shares[:-1]), 1):
            ends.append(min(max(round(size * share), ends[-1] + 1), size - len(shares) + place))
        ends.append(size)
        order = rng.permutation(size)
        for indices, (start, stop) in zip(parts, itertools.pairwise(ends), strict=True):
            indices += [index for i in order[start:stop] for index in members[i]]
    return [sorted(indices) for indices in parts]
