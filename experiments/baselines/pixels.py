"""Classifiers of single images: logistic regression on the principal components of their pixels."""

from collections.abc import Mapping

import numpy as np

from experiments.common.classification import Baseline, Data, best_baseline

STRENGTHS = (0.01, 0.1, 1.0)  # inverse of the penalty; the validation set chooses


def baselines(pixels: Mapping[str, np.ndarray], data: Data) -> list[Baseline]:
    """Returns the most frequent class, and logistic regression on the pixels [M, P] of each split."""
    from sklearn.decomposition import PCA
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    logistic = {
        f"C={c}": make_pipeline(PCA(0.95), StandardScaler(), LogisticRegression(C=c, max_iter=1000)) for c in STRENGTHS
    }
    candidates = {"most frequent class": {"": DummyClassifier()}, "logistic regression, pixels": logistic}
    return [best_baseline(title, each, pixels, data) for title, each in candidates.items()]
