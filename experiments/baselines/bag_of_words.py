"""Classifiers that count n-grams of tokens, and the most frequent class; all from scikit-learn."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.common.text_classification import Baseline, Predictions
from experiments.common.texts import Texts

SMOOTHINGS = (0.03, 0.1, 0.3, 1.0, 3.0)  # naive Bayes: pseudo-count of each n-gram
STRENGTHS = (1.0, 10.0, 100.0)  # logistic regression: inverse of the penalty


def baselines(texts: Texts, orders: tuple[int, int]) -> list[Baseline]:
    """Returns the most frequent class, naive Bayes and logistic regression, fitted to the training set.

    The validation set chooses their smoothing and penalty, as it chooses the networks' epoch.

    Args:
      texts: splits, with the networks' tokens.
      orders: smallest and largest n of the n-grams.
    """
    from sklearn.dummy import DummyClassifier
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.pipeline import make_pipeline

    options: dict[str, Any] = {"tokenizer": texts.tokenizer, "token_pattern": None, "lowercase": False}
    options["ngram_range"] = orders

    def tfidf() -> TfidfVectorizer:
        return TfidfVectorizer(**options, sublinear_tf=True)

    bayes = {f"alpha={a}": make_pipeline(CountVectorizer(**options), MultinomialNB(alpha=a)) for a in SMOOTHINGS}
    logistic = {f"C={c}": make_pipeline(tfidf(), LogisticRegression(C=c, max_iter=1000)) for c in STRENGTHS}
    ngrams = f"{orders[0]}..{orders[1]}-grams"
    return [
        _best("most frequent class", {"": make_pipeline(CountVectorizer(**options), DummyClassifier())}, texts),
        _best(f"naive Bayes, {ngrams}", bayes, texts),
        _best(f"logistic regression, {ngrams}", logistic, texts),
    ]


def _best(title: str, candidates: Mapping[str, Any], texts: Texts) -> Baseline:
    """Fits the candidates, by setting, and returns the one with the fewest errors on the validation set."""
    training, validation, test = (texts.splits[name].labelled for name in ("training", "validation", "test"))
    errors = {}
    for setting, pipeline in candidates.items():
        pipeline.fit(training.texts, training.labels)
        errors[setting] = 1 - np.mean(pipeline.predict(validation.texts) == validation.labels)
    best = min(errors, key=lambda setting: errors[setting])
    predicted = candidates[best].predict(test.texts)[None]
    return Baseline(title, np.array([errors[best]]), Predictions(test.labels, predicted), {"settings": best})
