"""Classifiers that count n-grams and know no order beyond them; scikit-learn's, fitted to the training part."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import Pipeline, make_pipeline

from experiments.common.text_classification.texts import Texts

SMOOTHINGS = (0.03, 0.1, 0.3, 1.0, 3.0)  # of naive Bayes: added to every count
STRENGTHS = (1.0, 10.0, 100.0)  # inverse, of the penalty of logistic regression


class Opponent(NamedTuple):
    """One that has been fitted."""

    name: str
    settings: str  # that were best on the validation part
    validation: float  # accuracy
    guesses: np.ndarray  # [N]: classes of the test part's texts


def opponents(texts: Texts, orders: tuple[int, int]) -> list[Opponent]:
    """The most frequent class, naive Bayes, and logistic regression.

    Their smoothing and penalty are chosen by the validation part, as the networks' epoch is.

    Args:
      texts: split, with the cut into tokens that the networks get.
      orders: the least and the greatest n of the n-grams.
    """
    grams: dict[str, Any] = {
        "tokenizer": texts.tokens,
        "token_pattern": None,
        "lowercase": False,
        "ngram_range": orders,
    }
    n = f"{orders[0]}..{orders[1]}-grams"
    bayes = [(f"alpha={a}", make_pipeline(CountVectorizer(**grams), MultinomialNB(alpha=a))) for a in SMOOTHINGS]
    logistic = [
        (f"C={c}", make_pipeline(TfidfVectorizer(**grams, sublinear_tf=True), LogisticRegression(C=c, max_iter=1000)))
        for c in STRENGTHS
    ]
    return [
        _best("most frequent class", [("", make_pipeline(CountVectorizer(**grams), DummyClassifier()))], texts),
        _best(f"naive Bayes, {n}", bayes, texts),
        _best(f"logistic regression, {n}", logistic, texts),
    ]


def _best(name: str, candidates: Sequence[tuple[str, Pipeline]], texts: Texts) -> Opponent:
    training, validation, test = (texts.parts[part].labelled for part in ("training", "validation", "test"))
    fitted = []
    for settings, pipeline in candidates:
        pipeline.fit(training.texts, training.labels)
        fitted.append((float(np.mean(pipeline.predict(validation.texts) == validation.labels)), settings, pipeline))
    accuracy, settings, pipeline = max(fitted, key=lambda each: each[0])
    return Opponent(name, settings, accuracy, pipeline.predict(test.texts))
