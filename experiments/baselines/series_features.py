"""Features of a series for a linear model: sixteen steps of each channel, its mean, deviation and roughness."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.baselines import support_vector_machine

STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # logistic regression: inverse of the penalty


def features(series: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the features of each series [T, channels]: [N, 19 channels + 1].

    They are those of `support_vector_machine.features`, and of each channel the mean, the standard deviation and the
    mean absolute difference of two steps.
    """
    moments = [np.concatenate([each.mean(0), each.std(0), _roughness(each)]) for each in series]
    return np.concatenate([support_vector_machine.features(series), moments], axis=1)


def _roughness(values: np.ndarray) -> np.ndarray:
    return np.abs(np.diff(values, axis=0)).sum(axis=0) / max(len(values) - 1, 1)


def candidates() -> dict[str, Any]:
    """Returns logistic regressions on standardised features, by penalty."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return {f"C={c}": make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000)) for c in STRENGTHS}
