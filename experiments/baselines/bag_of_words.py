"""Classifiers that count n-grams of tokens, and the most frequent class; all from scikit-learn."""

from typing import Any

from experiments.common.classification import Baseline, best_baseline
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
    candidates = {
        "most frequent class": {"": make_pipeline(CountVectorizer(**options), DummyClassifier())},
        f"naive Bayes, {ngrams}": bayes,
        f"logistic regression, {ngrams}": logistic,
    }
    inputs = {name: split.labelled.texts for name, split in texts.splits.items()}
    return [best_baseline(title, each, inputs, texts) for title, each in candidates.items()]
