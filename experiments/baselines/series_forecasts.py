"""Forecasts of a test set without networks: persistence, the last season, the autoregression."""

import numpy as np

from experiments.baselines import naive_series
from experiments.common.series import AUTOREGRESSION, Data
from rnn_jax.applications import Forecasts


def baselines(data: Data, paths: int, seed: int) -> dict[str, Forecasts]:
    """Returns the forecasts of persistence, of the last season, and of the autoregression with `paths` draws."""
    origins, values, horizon, model = data.origins(), data.series.values, data.horizon, data.autoregression
    history, future = origins.histories(data.x, model.order).transpose(0, 2, 1), origins.future(data.known, horizon)
    noise = np.random.default_rng(seed).standard_normal((horizon, history.shape[1], paths, len(origins.points)))

    def from_z(z: np.ndarray) -> np.ndarray:
        base = origins.base(values, data.transform)
        return data.transform.inverse(data.transform.accumulate(z), base[:, None])

    drawn = from_z(model.extrapolate(history, model.deviation[:, None, None] * noise, future)[:, 0])
    center = from_z(model.forecast(history, future)[:, None])[:, 0]
    return {
        "persistence": Forecasts(naive_series.persistence(values, origins.points, horizon)),
        "seasonal naive": Forecasts(naive_series.seasonal_naive(values, origins.points, horizon, data.season)),
        AUTOREGRESSION: Forecasts.from_paths(np.moveaxis(drawn, 1, 0), center),
    }
