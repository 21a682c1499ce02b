"""Scores of texts against all their references: BLEU by sacrebleu, ROUGE by rouge-score, and exact matches."""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.common import flags
from rnn_jax import significance
from rnn_jax.data import Referenced
from rnn_jax.data.pairs import Words

ROUGE = ("rouge1", "rouge2", "rougeL")
GROUPS = 5  # of sources by length, about as many in each

Join = Callable[[Sequence[str]], str]


def check_installed() -> None:
    """Raises a UserError if sacrebleu or rouge-score is not installed."""
    flags.require("sacrebleu>=2.4", "BLEU")
    flags.require("rouge-score>=0.1.2", "ROUGE")


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, str]:
    """Returns BLEU of lower-cased texts [N] with their references, and sacrebleu's description of its settings."""
    from sacrebleu.metrics.bleu import BLEU  # an optional dependency, like rouge-score: dates need neither

    # In sacrebleu's form: the first reference of every text, the second, ...; None if it has no more.
    by_place = [list(each) for each in itertools.zip_longest(*references)]
    metric = BLEU(lowercase=True)
    return float(metric.corpus_score(list(texts), by_place).score), str(metric.get_signature())


def rouge(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Returns F1 of ROUGE-1, -2 and -L (Lin 2004, no stemming), means over texts, each with its best reference."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(ROUGE, tokenizer=_Tokenizer())
    scored = [scorer.score_multi(each, text) for text, each in zip(texts, references, strict=True)]
    return {name: float(np.mean([scores[name].fmeasure for scores in scored])) for name in ROUGE}


class _Tokenizer:
    """Letters and digits of any script; rouge-score's own tokenizer, equal for ASCII, drops all but a-z and 0-9."""

    def tokenize(self, text: str) -> list[str]:
        return re.findall(r"[^\W_]+", text.lower())


def score(items: Sequence[Referenced], written: Sequence[Words], join: Join | None) -> dict[str, float | None]:
    """Returns the scores `bleu`, `rouge1`, `rouge2`, `rougeL` and `exact`, the share that equals a reference.

    Args:
      items: sources with their references; without any, all scores are None.
      written: what a model wrote for each source.
      join: function that makes a text of words; None if tokens are characters, whose BLEU and ROUGE are None.
    """
    scores: dict[str, float | None] = dict.fromkeys(("bleu", *ROUGE, "exact"))
    if items and join:
        texts, references = [join(each) for each in written], [[*map(join, item.references)] for item in items]
        scores |= {"bleu": bleu(texts, references)[0], **rouge(texts, references)}
    if items:
        exact = [tuple(each) in item.references for item, each in zip(items, written, strict=True)]
        scores["exact"] = float(np.mean(exact))
    return scores


def scored(items: Sequence[Referenced], written: Sequence[Sequence[Words]], join: Join | None) -> significance.Scored:
    """Returns BLEU / 100 of the texts of each seed, without `join` the share of exact ones, as a score of sources."""
    if join is None:
        pairs = [zip(items, each, strict=True) for each in written]
        return significance.means(np.array([[tuple(text) in item.references for item, text in each] for each in pairs]))
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(lowercase=True)

    def counts(item: Referenced, text: Words) -> list[int]:
        alone = metric.corpus_score([join(text)], [[join(reference)] for reference in item.references])
        return [*alone.counts, *alone.totals, alone.sys_len, alone.ref_len]

    statistics = np.array([[counts(*pair) for pair in zip(items, each, strict=True)] for each in written])

    def of_seed(sums: np.ndarray) -> float:
        right, total, (written_length, length) = sums[:4].tolist(), sums[4:8].tolist(), sums[8:].tolist()
        return float(BLEU.compute_bleu(right, total, written_length, length, smooth_method="exp").score) / 100

    return significance.Scored(lambda places: np.array([of_seed(s) for s in statistics[:, places].sum(1)]), len(items))


def by_length(items: Sequence[Referenced], written: Sequence[Words], join: Join | None) -> list[dict[str, Any]]:
    """Returns the scores of sources in groups of neighbouring lengths: shortest, longest, items, scores."""
    lengths = np.array([len(item.source) for item in items])
    groups, least = [], int(lengths.min())
    for most in np.unique(np.quantile(lengths, np.linspace(0, 1, GROUPS + 1)[1:], method="lower")).tolist():
        places = np.flatnonzero((lengths >= least) & (lengths <= most)).tolist()
        group = score([items[i] for i in places], [written[i] for i in places], join)
        groups.append({"shortest": least, "longest": most, "items": len(places), **group})
        least = most + 1
    return groups
