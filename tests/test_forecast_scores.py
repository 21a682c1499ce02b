"""Forecasts by hand: origins, scores, naive forecasts and the autoregression."""

import math

import numpy as np
import pytest
from scipy import stats

from experiments.baselines import naive_series
from experiments.baselines.autoregression import Autoregression
from experiments.common.series import Origins
from experiments.forecasting.measurement import Forecasts, score
from rnn_jax.data import Series
from rnn_jax.significance import Difference

pytestmark = pytest.mark.usefixtures("one_thread")


def make_series(values, observed):
    return Series("x", tuple(map(str, range(len(values)))), values, observed)


def test_origins_and_scores_by_hand():
    values = np.array([0.0, 1, 2, 4, 8, 16, 32])
    observed = np.array([True] * 5 + [False, True])
    origins = Origins.between(make_series(values, observed), 4, 7, 2)
    assert origins.points.tolist() == [3, 4, 5]
    # 5 is not observed: not scored, and nothing is forecast from there; 7 is past the end.
    assert origins.scored.tolist() == [[True, False, False], [False, True, False]]
    np.testing.assert_array_equal(origins.histories(values, 2), [[2, 4, 8], [4, 8, 16]])
    forecasts = Forecasts(
        np.array([[9.0, 0, 0], [0, 30, 0]]), np.array([[[8.5] * 3, [0] * 3]] * 2), np.array([[[9.5] * 3, [31] * 3]] * 2)
    )
    got = score(forecasts, origins, 4.0, Forecasts(np.array([[4.0, 8, 16]] * 2)))
    np.testing.assert_allclose(got.mae, [1, 2])
    np.testing.assert_allclose(got.rmse, [1, 2])
    np.testing.assert_allclose(got.mase, [0.25, 0.5])
    np.testing.assert_allclose(got.coverage, [[0, 0]] * 2)
    np.testing.assert_allclose(got.width, [[1, 31]] * 2)
    np.testing.assert_array_equal(got.margins, [[1 - 4, -np.inf, np.inf], [2 - 24, -np.inf, np.inf]])  # one origin each
    one_step = Origins.between(make_series(values, np.ones(7, bool)), 4, 7, 1)
    got = score(Forecasts(np.array([[8.0, 13, 36]])), one_step, 1.0, Forecasts(np.array([[4.0, 8, 16]])))
    assert got.mae[0] == pytest.approx(7 / 3)
    np.testing.assert_allclose(got.margins, [[-7, *stats.ttest_rel([0, 3, 4], [4, 8, 16]).confidence_interval()]] * 2)
    assert got.rmse[0] == pytest.approx(math.sqrt(25 / 3))
    assert np.isnan(got.coverage).all()


def test_unit_of_mase_leaves_gaps_out():
    values, observed = np.array([0.0, 1, 5, 100, 9]), np.array([True, True, True, False, True])
    assert naive_series.seasonal_error(values, observed, 2) == pytest.approx((5 + 4) / 2)


def test_naive_forecasts():
    values, points = np.arange(10.0) ** 2, np.arange(5, 9)
    np.testing.assert_array_equal(naive_series.persistence(values, points, 4)[:, 0], [25] * 4)
    np.testing.assert_array_equal(naive_series.seasonal_naive(values, points, 4, 3)[:, 0], [9, 16, 25, 9])


def test_autoregression_recovers_the_process_and_is_iterated():
    rng, values = np.random.default_rng(0), np.zeros(3000)
    for t in range(2, 3000):
        values[t] = 1 + 0.5 * values[t - 1] - 0.3 * values[t - 2] + 0.2 * rng.normal()
    model = Autoregression.fit(values[:, None], np.ones(3000, bool), 2, np.zeros((3000, 0)))
    fitted = [*model.weights[0], *model.constant, *model.deviation]
    np.testing.assert_allclose(fitted, [-0.3, 0.5, 1, 0.2], atol=0.06)
    history = Origins.between(make_series(values, np.ones(3000, bool)), 2990, 3000, 3).histories(values, 2)[:, None]
    ((one,), known) = model.constant + model.weights @ values[[2988, 2989]], np.zeros((3, 0, 10))
    (two,) = model.constant + model.weights @ [values[2989], one]
    np.testing.assert_allclose(model.forecast(history, known)[:2, 0], [one, two])
    np.testing.assert_allclose(model.one_step(values[:, None, None], np.zeros((3000, 0)))[2990, 0, 0], one)
    noise = model.deviation * np.random.default_rng(1).standard_normal((3, 1, 4000, 10))
    forecasts = Forecasts.from_paths(np.moveaxis(model.extrapolate(history, noise, known)[:, 0], 1, 0))
    half = 1.2816 * model.deviation[0]
    np.testing.assert_allclose(
        [forecasts.lower[0, 0, 0], forecasts.upper[0, 0, 0]], [one - half, one + half], atol=0.03
    )
    assert np.all(forecasts.upper[:, 1] - forecasts.lower[:, 1] > forecasts.upper[:, 0] - forecasts.lower[:, 0])


def test_autoregression_is_not_fitted_to_gaps():
    values = np.tile([1.0, -1.0], 30)
    usable = np.ones(60, bool)
    spoilt = values.copy()
    spoilt[20], usable[20] = 99.0, False
    got = Autoregression.fit(spoilt[:, None], usable, 2, np.zeros((60, 0)))
    assert got.deviation[0] < 1e-6
    with pytest.raises(ValueError, match="order 2 needs at least 6 points"):
        Autoregression.fit(values[:7, None], usable[:7], 2, np.zeros((7, 0)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_network_that_diverges_at_some_origins_is_not_better_at_the_others(wrong):
    values = np.arange(9.0)
    origins = Origins.between(make_series(values, np.ones(9, bool)), 3, 9, 1)
    diverged, reference = values[None, 3:].copy(), values[None, 3:] + np.array([1.0, 2, 1, 2, 1, 2])
    assert (
        Difference(*score(Forecasts(diverged), origins, 1.0, Forecasts(reference)).margins[0]).verdict(True) == "better"
    )
    diverged[0, 2] = wrong
    margin = Difference(*score(Forecasts(diverged), origins, 1.0, Forecasts(reference)).margins[0])
    assert margin == (np.inf, -np.inf, np.inf)
    assert margin.verdict(lower_is_better=True) == "unknown"
