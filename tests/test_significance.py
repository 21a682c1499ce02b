"""Paired differences and their intervals: by hand, against scipy, and their size by simulation."""

import numpy as np
import pytest
from scipy import stats

from rnn_jax.significance import Difference, Scored, bootstrap, diebold_mariano, means, paired, ratios

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_interval_of_one_seed_is_that_of_scipys_paired_bootstrap():
    rng = np.random.default_rng(1)
    first, second = rng.random((2, 1, 400)) < np.array([0.8, 0.7])[:, None, None]
    difference = bootstrap(means(first), means(second))
    assert difference.value == pytest.approx(first.mean() - second.mean())
    options = {"method": "percentile", "paired": True, "vectorized": True, "n_resamples": 5000}
    expected = stats.bootstrap((first[0], second[0]), lambda a, b, axis: np.mean(a, axis) - np.mean(b, axis), **options)
    np.testing.assert_allclose(difference[1:], expected.confidence_interval, atol=0.006)


def test_what_is_hard_for_both_models_cancels():
    hard = np.random.default_rng(2).random((1, 300)) < 0.5
    better = hard.copy()
    better[0, np.flatnonzero(~hard)[:15]] = True  # 5 % more, on items that the other one misses
    assert bootstrap(means(better), means(hard)).verdict() == "better"
    assert bootstrap(means(better), means(np.random.default_rng(3).permuted(hard, axis=1))).verdict() == "a tie"


def test_seeds_have_students_t_in_the_interval():
    """Without a spread over items the interval is the t interval over seeds."""
    shares = np.array([0.70, 0.74, 0.78])
    every_item_alike = Scored(lambda items: shares, 10)
    other = Scored(lambda items: np.array([0.7]), 10)
    difference = bootstrap(every_item_alike, other, samples=10_000)
    expected = stats.ttest_1samp(shares - 0.7, 0).confidence_interval(0.95)
    np.testing.assert_allclose(difference[1:], expected, atol=0.006)
    assert difference.verdict() == "a tie"


def test_grouped_predictions_are_one_item():
    values, groups = np.array([[1, 1, 0, 1, 0]]), np.array([0, 0, 0, 1, 2])
    scored = means(values, groups)
    assert scored.items == 3
    np.testing.assert_allclose(scored.values, [3 / 5])
    np.testing.assert_allclose(scored.score(np.array([0, 0, 2])), [4 / 7])
    alone, copied = means(np.eye(20)[:1] > 0), means(np.repeat(np.eye(20)[:1] > 0, 9, axis=1), np.repeat(range(20), 9))
    nothing = means(np.zeros((1, 20)))
    np.testing.assert_allclose(bootstrap(copied, nothing), bootstrap(alone, nothing))  # copies add no evidence


def test_the_ratio_of_sums_is_the_mean_over_the_parts_of_the_drawn_items():
    scored = ratios(np.array([[6.0, 2, 9], [3, 3, 3]]), np.array([3, 1, 2]))
    np.testing.assert_allclose(scored.values, [17 / 6, 9 / 6])
    np.testing.assert_allclose(scored.score(np.array([1, 1, 2])), [13 / 4, 9 / 4])


def test_fewer_than_five_items_allow_no_statement():
    one, other = np.ones((1, 5)), np.zeros((1, 5))
    assert bootstrap(means(one), means(other)).verdict() == "better"
    few = bootstrap(means(one[:, :4]), means(other[:, :4]))
    assert (few, few.verdict()) == ((1, -np.inf, np.inf), "unknown")


def test_the_interval_of_paired_scores_is_students():
    first, second = np.array([3.0, 4, 3.2]), np.array([1.0, 1.5, 2])
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    np.testing.assert_allclose(paired(first, second), [np.mean(first - second), *expected])
    assert paired(first[:1], second[:1]).verdict() == "unknown"


def test_verdicts_and_text():
    assert [Difference(1, 0.2, 2).verdict(), Difference(-1, -2, -0.2).verdict()] == ["better", "worse"]
    assert [Difference(1, 0.2, 2).verdict(True), Difference(-1, -2, -0.2).verdict(True)] == ["worse", "better"]
    assert [Difference(1, -0.2, 2).verdict(), Difference(0, 0, 0).verdict()] == ["a tie"] * 2
    assert Difference(np.nan, np.nan, np.nan).verdict() == Difference(3, -np.inf, np.inf).verdict() == "unknown"
    assert str(Difference(0.009, -0.005, 0.023).scaled(100)) == "+0.9 (-0.5 to 2.3)"


@pytest.mark.parametrize("items", [(0, 0), (3, 4)])
def test_models_without_the_same_items_are_refused(items):
    with pytest.raises(ValueError, match=f"scored on the same items, at least 1, got {items[0]} and {items[1]}"):
        bootstrap(*(means(np.zeros((1, n))) for n in items))


def test_the_bootstrap_covers_the_true_difference():
    """100 pairs of a network of three seeds and a baseline on 100 items: hard items, seeds and chance differ."""
    rng, truth = np.random.default_rng(4), stats.norm.cdf([0.8 / np.sqrt(1.53), 0.8 / np.sqrt(1.49)])

    def inside():
        item, noise = rng.normal(0.8, 1, 100), rng.normal(0, 0.7, (4, 100))
        network, baseline = item + rng.normal(0, 0.2, (3, 1)) + noise[:3] > 0, item + noise[3:] > 0
        difference = bootstrap(means(network), means(baseline), samples=300)
        return difference.low <= truth[0] - truth[1] <= difference.high

    assert np.mean([inside() for _ in range(100)]) > 0.9


def test_diebold_mariano_by_hand():
    """d = 1, 3, 2, 6: mean 3, deviations -2, 0, -1, 3; g_0 = 14/4, g_1 = (0 + 0 - 3)/4, g_2 = (2 + 0)/4."""
    losses = np.array([1.0, 3, 2, 6]), np.zeros(4)
    quantile = stats.t.ppf(0.975, 3)
    one = diebold_mariano(*losses, 1)  # c² = (4 + 1 - 2) / 4
    np.testing.assert_allclose(one, [3, *(3 + np.array([-1, 1]) * quantile * np.sqrt(3.5 / 4 / 0.75))])
    two = diebold_mariano(*losses, 2)  # c² = (4 + 1 - 4 + 2/4) / 4
    np.testing.assert_allclose(two, [3, *(3 + np.array([-1, 1]) * quantile * np.sqrt((3.5 - 1.5) / 4 / 0.375))])
    three = diebold_mariano(*losses, 3)  # c² = (4 + 1 - 6 + 6/4) / 4
    np.testing.assert_allclose(three, [3, *(3 + np.array([-1, 1]) * quantile * np.sqrt((3.5 - 1.5 + 1) / 4 / 0.125))])
    # One step ahead it is Student's test of paired losses.
    np.testing.assert_allclose(one[1:], stats.ttest_rel(*losses).confidence_interval(0.95))


def test_diebold_mariano_with_a_variance_that_is_not_positive_takes_bartletts_weights():
    losses = np.array([1.0, -1, 1, -1]), np.zeros(4)  # g_0 = 1, g_1 = -3/4: 1 - 3/2 < 0, 1 - 3/4 > 0
    low, high = diebold_mariano(*losses, 2)[1:]
    np.testing.assert_allclose(high, stats.t.ppf(0.975, 3) * np.sqrt(0.25 / 4 / 0.375))
    assert low == -high


def test_diebold_mariano_skips_origins_without_a_loss_and_needs_more_than_the_horizon():
    first, second = np.array([1.0, np.nan, 3, 2, np.nan, 6]), np.zeros(6)
    np.testing.assert_allclose(diebold_mariano(first, second, 1), diebold_mariano(first[[0, 2, 3, 5]], np.zeros(4), 1))
    assert diebold_mariano(first, second, 4) == (3, -np.inf, np.inf)
    assert diebold_mariano(first, second, 4).verdict(True) == "unknown"
    assert np.isnan(diebold_mariano(first + np.nan, second, 1).value)


def test_the_size_of_diebold_mariano_is_near_five_percent():
    """Equal forecasts three steps ahead, whose losses are moving averages of three: 5 %, if taken as independent 25."""
    rng = np.random.default_rng(5)
    noise = rng.normal(size=(2000, 66))
    losses = noise[:, 2:] + noise[:, 1:-1] + noise[:, :-2]
    rejected = [np.mean([diebold_mariano(d, np.zeros(64), h).verdict() != "a tie" for d in losses]) for h in (1, 3)]
    assert rejected[0] > 0.2
    assert 0.03 < rejected[1] < 0.08


WRONG = [
    (lambda: bootstrap(means(np.ones((1, 9))), means(np.ones((1, 9))), samples=0), "bootstrap: samples must be a pos"),
    (lambda: means(np.ones(10)), r"means: values must be \[seeds, N\], got shape \(10,\)"),
    (lambda: diebold_mariano(np.arange(5.0), np.ones(5), 0), "diebold_mariano: horizon must be"),
    (lambda: diebold_mariano(np.ones(5), np.ones(4), 1), r"losses must be \[T\] of the same T, got shapes \(5,\) and"),
    (lambda: diebold_mariano(np.ones((5, 2)), np.ones((5, 2)), 1), r"losses must be \[T\] of the same T, got shapes"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_wrong_shapes_and_horizons_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
