"""How good translations are: BLEU by sacrebleu, exact matches; and what translates without learning anything."""

import collections
import importlib.util
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from experiments.common.flags import UserError
from experiments.translation.corpus import Corpus, Item
from rnn_jax.data.pairs import Words

AT_A_TIME = 256  # sources compared with all of the training part


class Score(NamedTuple):
    """Of some translations."""

    bleu: float | None  # None where the tokens are characters
    exact: float  # share that equals a reference


def check_sacrebleu() -> None:
    """Refuses to go on without it.

    Raises:
      UserError: where it is not installed.
    """
    if importlib.util.find_spec("sacrebleu") is None:
        raise UserError('BLEU needs sacrebleu: pip install "sacrebleu>=2.4"')


def score(corpus: Corpus, items: Sequence[Item], translations: Sequence[Sequence[str]]) -> Score:
    """Compares the text of translations with that of all references; both are lower case and put together again."""
    exact = np.mean([tuple(found) in item.references for item, found in zip(items, translations, strict=True)])
    if not corpus.by_words:
        return Score(None, float(exact))
    texts = [corpus.text(translation) for translation in translations]
    found = _bleu().corpus_score(texts, _references(corpus, items))
    return Score(float(found.score), float(exact))


def signature(corpus: Corpus, items: Sequence[Item]) -> str:
    """What sacrebleu calls the way it counts."""
    bleu = _bleu()
    bleu.corpus_score([corpus.text(item.source) for item in items], _references(corpus, items))
    return str(bleu.get_signature())


def _references(corpus: Corpus, items: Sequence[Item]) -> list[list[str | None]]:
    """As sacrebleu has them: the first of every item, the second, and so on, None where an item has no more."""
    most = max(len(item.references) for item in items)
    return [
        [corpus.text(item.references[n]) if n < len(item.references) else None for item in items] for n in range(most)
    ]


def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU  # not everyone who translates dates has it

    return BLEU(lowercase=True)


def baselines(corpus: Corpus, items: Sequence[Item]) -> dict[str, list[Words]]:
    """Translations of the items' sources that need no network.

    Returns:
      "copy": the source itself; "most frequent": the target that comes most often in the training part; "nearest": the
      target of the training source with the most similar words (cosine of TF-IDF; characters by threes).
    """
    sources, targets = zip(*corpus.parts.training, strict=True)
    commonest = collections.Counter(targets).most_common(1)[0][0]
    if corpus.by_words:
        vectorizer = TfidfVectorizer(analyzer=tuple)
    else:
        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), preprocessor="".join)
    known = vectorizer.fit_transform(sources)
    nearest: list[Words] = []
    for start in range(0, len(items), AT_A_TIME):
        asked = vectorizer.transform([item.source for item in items[start : start + AT_A_TIME]])
        # Of equally similar ones the first, the shorter in a sorted file.
        nearest += [targets[place] for place in np.asarray((asked @ known.T).argmax(axis=1)).ravel()]
    return {
        "copy": [item.source for item in items],
        "most frequent": [commonest for _ in items],
        "nearest": nearest,
    }
