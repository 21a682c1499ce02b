"""Scores of translations: BLEU by sacrebleu, and exact matches."""

import importlib.util
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common.flags import UserError
from experiments.translation.corpus import Corpus, Item

GROUPS = 5  # of sources by length, about as many in each


class Score(NamedTuple):
    """Score of some translations."""

    bleu: float | None  # None if the tokens are characters
    exact: float  # share that equals a reference


def check_sacrebleu() -> None:
    """Raises a UserError if sacrebleu is not installed."""
    if importlib.util.find_spec("sacrebleu") is None:
        raise UserError('BLEU needs sacrebleu: pip install "sacrebleu>=2.4"')


def score(corpus: Corpus, items: Sequence[Item], translations: Sequence[Sequence[str]]) -> Score:
    """Returns the score of translations against all references, lower case."""
    exact = np.mean([tuple(each) in item.references for item, each in zip(items, translations, strict=True)])
    if not corpus.by_words:
        return Score(None, float(exact))
    texts = [corpus.text(translation) for translation in translations]
    return Score(float(_bleu().corpus_score(texts, _references(corpus, items)).score), float(exact))


def by_length(corpus: Corpus, items: Sequence[Item], translations: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Returns the scores of sources in groups of neighbouring lengths: shortest, longest, items, score."""
    lengths = np.array([len(item.source) for item in items])
    groups, least = [], int(lengths.min())
    for most in np.unique(np.quantile(lengths, np.linspace(0, 1, GROUPS + 1)[1:], method="lower")).tolist():
        places = np.flatnonzero((lengths >= least) & (lengths <= most)).tolist()
        group = score(corpus, [items[i] for i in places], [translations[i] for i in places])
        groups.append({"shortest": least, "longest": most, "items": len(places), **group._asdict()})
        least = most + 1
    return groups


def unseen(corpus: Corpus, items: Sequence[Item]) -> list[int]:
    """Returns the indices of items none of whose references is a target of the training set."""
    known = {target for _, target in corpus.splits.training}
    return [place for place, item in enumerate(items) if not known & set(item.references)]


def signature(corpus: Corpus, items: Sequence[Item]) -> str:
    """Returns sacrebleu's description of its settings."""
    bleu = _bleu()
    bleu.corpus_score([corpus.text(item.source) for item in items], _references(corpus, items))
    return str(bleu.get_signature())


def _references(corpus: Corpus, items: Sequence[Item]) -> list[list[str | None]]:
    """Returns references in sacrebleu's form: the first of every item, the second, ...; None if it has no more."""
    most = max(len(item.references) for item in items)
    return [
        [corpus.text(item.references[n]) if n < len(item.references) else None for item in items] for n in range(most)
    ]


def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU  # an optional dependency: dates need no BLEU

    return BLEU(lowercase=True)
