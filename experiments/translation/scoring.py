"""Scores of translations against all references: BLEU of lower-cased text by sacrebleu, and exact matches."""

import importlib.util
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.common.flags import UserError
from experiments.translation.corpus import Corpus
from rnn_jax.data import Referenced

GROUPS = 5  # of sources by length, about as many in each


def check_sacrebleu() -> None:
    """Raises a UserError if sacrebleu is not installed."""
    if importlib.util.find_spec("sacrebleu") is None:
        raise UserError('BLEU needs sacrebleu: pip install "sacrebleu>=2.4"')


def score(
    corpus: Corpus, items: Sequence[Referenced], translations: Sequence[Sequence[str]]
) -> dict[str, float | None]:
    """Returns `bleu`, None for characters, and `exact`, the share that equals a reference; both None without items."""
    if not items:
        return {"bleu": None, "exact": None}
    exact = np.mean([tuple(each) in item.references for item, each in zip(items, translations, strict=True)])
    return {"bleu": bleu(corpus, items, translations)[0] if corpus.by_words else None, "exact": float(exact)}


def by_length(
    corpus: Corpus, items: Sequence[Referenced], translations: Sequence[Sequence[str]]
) -> list[dict[str, Any]]:
    """Returns the scores of sources in groups of neighbouring lengths: shortest, longest, items, score."""
    lengths = np.array([len(item.source) for item in items])
    groups, least = [], int(lengths.min())
    for most in np.unique(np.quantile(lengths, np.linspace(0, 1, GROUPS + 1)[1:], method="lower")).tolist():
        places = np.flatnonzero((lengths >= least) & (lengths <= most)).tolist()
        group = score(corpus, [items[i] for i in places], [translations[i] for i in places])
        groups.append({"shortest": least, "longest": most, "items": len(places), **group})
        least = most + 1
    return groups


def bleu(corpus: Corpus, items: Sequence[Referenced], translations: Sequence[Sequence[str]]) -> tuple[float, str]:
    """Returns BLEU, and sacrebleu's description of its settings."""
    from sacrebleu.metrics.bleu import BLEU  # an optional dependency: dates need no BLEU

    # In sacrebleu's form: the first reference of every item, the second, ...; None if it has no more.
    references = itertools.zip_longest(*(map(corpus.text, item.references) for item in items))
    metric = BLEU(lowercase=True)
    result = metric.corpus_score([corpus.text(each) for each in translations], [list(each) for each in references])
    return float(result.score), str(metric.get_signature())
