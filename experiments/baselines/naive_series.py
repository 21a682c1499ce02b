"""Naive forecasts of a series and naive anomaly scores."""

import numpy as np


def persistence(values: np.ndarray, points: np.ndarray, horizon: int) -> np.ndarray:
    """Returns the forecasts x_{t+h} = x_t [horizon, O] from each point t of `points` [O]."""
    return np.broadcast_to(values[points], (horizon, len(points)))


def seasonal_naive(values: np.ndarray, points: np.ndarray, horizon: int, season: int) -> np.ndarray:
    """Returns the forecasts x_{t+h} = x_{t+h-km} [horizon, O], with m the season and km the fewest seasons >= h."""
    steps = np.arange(1, horizon + 1)[:, None]
    return values[points + steps - season * -(-steps // season)]


def seasonal_error(values: np.ndarray, observed: np.ndarray, season: int) -> float:
    """Returns the mean of |x_t - x_{t-m}| over pairs of observed points, the unit of MASE; NaN if there is none."""
    both = observed[season:] & observed[:-season]
    return float(np.mean(np.abs(values[season:] - values[:-season])[both])) if both.any() else np.nan


def z_score(values: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Returns |x - mean| / deviation, with mean and standard deviation of the training set."""
    return np.abs(values - training.mean()) / training.std()


def seasonal_residual(values: np.ndarray, season: int) -> np.ndarray:
    """Returns |x_t - x_{t-m}| of values [N, ...], with m the season; 0 for the first m points."""
    residuals = np.zeros_like(values)
    residuals[season:] = np.abs(values[season:] - values[:-season])
    return residuals
