"""Translation without a network: the source or its first words, the most frequent target, the nearest one's."""

import collections
from collections.abc import Sequence

import numpy as np

from rnn_jax.data.pairs import Words

BATCH = 256  # sources compared with the whole training set at a time


def translations(
    pairs: Sequence[tuple[Words, Words]], sources: Sequence[Words], by_words: bool
) -> dict[str, list[Words]]:
    """Returns translations of the sources by each baseline.

    Args:
      pairs: training pairs.
      sources: sources to translate.
      by_words: whether tokens are words; else they are characters.

    Returns:
      "copy": the source itself; "lead", of words: its first ones, as many as the mean of the training targets has;
      "most frequent": the most frequent training target; "nearest": the target of the training source with the greatest
      cosine of TF-IDF vectors (of characters: of up to three in a row).
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    known, targets = zip(*pairs, strict=True)
    commonest = collections.Counter(targets).most_common(1)[0][0]
    if by_words:
        vectorizer = TfidfVectorizer(analyzer=tuple)
    else:
        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=(1, 3), preprocessor="".join)
    vectors = vectorizer.fit_transform(known)
    nearest: list[Words] = []
    for start in range(0, len(sources), BATCH):
        queries = vectorizer.transform(sources[start : start + BATCH])
        # The first of equally similar ones is the shorter one in a sorted file.
        nearest += [targets[place] for place in np.asarray((queries @ vectors.T).argmax(axis=1)).ravel()]
    lead = round(np.mean([len(target) for target in targets]))
    leads = {"lead": [source[:lead] for source in sources]} if by_words else {}
    return {"copy": list(sources), **leads, "most frequent": [commonest for _ in sources], "nearest": nearest}
