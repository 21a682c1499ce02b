"""Differences of AUC: by scikit-learn on drawn blocks, ties, and no bounds with few blocks."""

import numpy as np
import pytest
import sklearn.metrics

from experiments.common import detection


@pytest.fixture(scope="module")
def scores():
    """Scores [2, 60] with ties, of which every third is anomalous, in blocks of different sizes."""
    rng = np.random.default_rng(0)
    anomalous = np.arange(60) % 3 == 0
    return (
        rng.integers(0, 12, size=(2, 60)) + 3.0 * anomalous,
        anomalous,
        np.repeat([4, 0, 9, 7, 1, 2], [3, 9, 18, 6, 12, 12]),
    )


def test_auc_of_drawn_blocks_is_that_of_their_scores_repeated(scores):
    values, anomalous, blocks = scores
    auc = detection.auc(values, anomalous, blocks)
    expected = [sklearn.metrics.roc_auc_score(anomalous, seed) for seed in values]
    np.testing.assert_allclose(auc.values, expected)
    drawn = np.array([0, 0, 5, 2, 2, 1])  # of the blocks' numbers in order: 0, 1, 2, 4, 7, 9
    chosen = np.concatenate([np.flatnonzero(blocks == np.unique(blocks)[block]) for block in drawn])
    expected = [sklearn.metrics.roc_auc_score(anomalous[chosen], seed[chosen]) for seed in values]
    np.testing.assert_allclose(auc.score(drawn), expected)


def test_a_margin_is_a_tie_or_not(scores):
    values, anomalous, blocks = scores
    other = np.random.default_rng(1).permutation(values, axis=1)
    first, second, best = (detection.auc(each, anomalous, blocks) for each in (values, other, values + 9 * anomalous))
    assert detection.margin(first, first).verdict() == "a tie"
    assert detection.margin(best, second).verdict() == "better"
    assert detection.margin(second, best).verdict() == "worse"
    assert detection.margin_text(detection.margin(first, first)).endswith(", a tie")
    fields = detection.margin_fields("auc", detection.margin(best, first))
    assert fields["test/auc_margin_low"] <= fields["test/auc_margin"] <= fields["test/auc_margin_high"]


def test_few_blocks_allow_no_statement(scores):
    values, anomalous, _ = scores
    four = np.arange(60) // 15
    first, second = (detection.auc(each, anomalous, four) for each in (values + 9 * anomalous, values))
    margin = detection.margin(first, second)
    assert margin.value > 0
    assert margin.verdict() == "unknown"


def test_draws_without_anomalies_allow_no_statement():
    anomalous = np.arange(10) == 3
    auc = detection.auc(np.arange(10.0)[None], anomalous, np.arange(10))
    assert np.isnan(auc.score(np.array([0, 1, 2, 4, 5, 6, 7, 8, 9, 9]))).all()
    assert detection.margin(auc, auc).verdict() == "unknown"


def test_blocks_are_at_least_as_long_as_asked_and_not_too_many():
    assert [detection.block_length(points, 16) for points in (100, 3200, 100_000)] == [16, 16, 500]
