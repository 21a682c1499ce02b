"""Forecasts of the test set by baselines and networks, and their scores for each step ahead."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.baselines import naive_series
from experiments.common.forecasters import Evaluation, Result, spread
from experiments.common.series import AUTOREGRESSION, Data, Origins
from experiments.forecasting.config import Config
from rnn_jax import training
from rnn_jax.data import Examples
from rnn_jax.models import Forecaster
from rnn_jax.models.readout import ReadoutParams

INTERVALS = (0.8, 0.95)  # probabilities of the central intervals
ORIGINS_AT_A_TIME = 64


class Forecasts(NamedTuple):
    """Forecasts in the units of the series."""

    center: np.ndarray  # [H, O]
    lower: np.ndarray | None = None  # [INTERVALS, H, O]; None if the model gives no intervals
    upper: np.ndarray | None = None

    @classmethod
    def from_paths(cls, paths: np.ndarray, center: np.ndarray | None = None) -> "Forecasts":
        """Returns mean, unless another center is given, and intervals of draws [P, H, O]."""
        lower, upper = ([np.quantile(paths, 0.5 + side * p / 2, axis=0) for p in INTERVALS] for side in (-1, 1))
        return cls(paths.mean(axis=0) if center is None else center, np.stack(lower), np.stack(upper))


class Scores(NamedTuple):
    """Scores for each step ahead; NaN if nothing was scored or the model gives no intervals."""

    mae: np.ndarray  # [H], in the units of the series
    rmse: np.ndarray  # [H], likewise
    mase: np.ndarray  # [H], MAE divided by that of seasonal naive forecasts within the training set
    coverage: np.ndarray  # [INTERVALS, H], share of the observations inside
    width: np.ndarray  # [INTERVALS, H], mean width in the units of the series


Results = Mapping[str, Result[Scores]]  # by model


def score(forecasts: Forecasts, origins: Origins, unit: float) -> Scores:
    """Returns means over the origins; MASE is in units of `unit` (Hyndman & Koehler 2006)."""

    def mean(values: np.ndarray) -> np.ndarray:
        counts = origins.scored.sum(axis=1)
        sums = np.where(origins.scored, values, 0).sum(axis=1)
        return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)

    errors = forecasts.center - origins.actual
    mae, rmse = mean(np.abs(errors)), np.sqrt(mean(errors**2))
    if forecasts.lower is None or forecasts.upper is None:
        unknown = np.full((len(INTERVALS), len(mae)), np.nan)
        return Scores(mae, rmse, mae / unit, unknown, unknown)
    inside = (forecasts.lower <= origins.actual) & (origins.actual <= forecasts.upper)
    coverage = np.stack([mean(each) for each in inside])
    width = np.stack([mean(each) for each in forecasts.upper - forecasts.lower])
    return Scores(mae, rmse, mae / unit, coverage, width)


def flat(scores: Scores) -> dict[str, float]:
    """Returns each score at the first step, at the last step, and its mean over all, by the name of its field."""
    curves = {"mae": scores.mae, "rmse": scores.rmse, "mase": scores.mase}
    for i, probability in enumerate(INTERVALS):
        curves[f"coverage_{100 * probability:.0f}"] = scores.coverage[i]
        curves[f"width_{100 * probability:.0f}"] = scores.width[i]
    return {
        f"test/{name}/{step}": float(value)
        for name, curve in curves.items()
        for step, value in (("first_step", curve[0]), ("last_step", curve[-1]), ("mean", np.mean(curve)))
    }


def evaluation(config: Config, data: Data) -> Evaluation[Scores]:
    """Returns the evaluation of forecasts of the test set."""
    origins = data.origins()
    unit = naive_series.seasonal_error(data.training, data.series.observed[: data.ends.training], data.season)

    def predict(model: Forecaster, params: Any, key: jax.Array) -> list[Forecasts]:
        return forecast(data, model, params, origins, key, config.paths)

    return Evaluation(baselines(config, data), predict, lambda each: score(each, origins, unit), flat, {})


def baselines(config: Config, data: Data) -> dict[str, Forecasts]:
    """Returns the forecasts of persistence, of the last season, and of the autoregression with as many paths."""
    origins, values, horizon, model = data.origins(), data.series.values, data.horizon, data.autoregression
    history = origins.histories(data.z, model.order)
    noise = np.random.default_rng(config.seed).standard_normal(
        (horizon, config.paths * config.seeds, len(origins.points))
    )

    def from_z(z: np.ndarray) -> np.ndarray:
        base = origins.base(values, data.transform)
        return data.transform.inverse(data.transform.accumulate(z), base[:, None])

    paths = from_z(model.extrapolate(history, model.deviation * noise))
    center = from_z(model.forecast(history, horizon)[:, None])[:, 0]
    return {
        "persistence": Forecasts(naive_series.persistence(values, origins.points, horizon)),
        "seasonal naive": Forecasts(naive_series.seasonal_naive(values, origins.points, horizon, data.season)),
        AUTOREGRESSION: Forecasts.from_paths(np.moveaxis(paths, 1, 0), center),
    }


def forecast(
    data: Data, model: Forecaster, params: Any, origins: Origins, key: jax.Array, paths: int
) -> list[Forecasts]:
    """Returns the forecasts of the ensemble, followed by those of each seed of params [seeds, ...].

    The ensemble pools the paths of all seeds; of direct models it averages the quantiles (Vincent averaging).
    """
    histories = jnp.asarray(origins.histories(data.z, data.window)[..., None], jnp.result_type(float))
    base = origins.base(data.series.values, data.transform)
    inputs = Examples(histories, jax.random.split(key, len(origins.points)))
    if model.horizon > 1:
        outputs = training.predict(model, _direct_outputs, params, inputs, ORIGINS_AT_A_TIME)  # [S, O, H, levels]
        ordered = np.sort(outputs, axis=-1).transpose(3, 0, 2, 1)  # [levels, S, H, O]
        quantiles = data.transform.inverse(ordered * spread(data, data.horizon)[:, None], base)
        levels = [quantiles.mean(axis=1), *np.moveaxis(quantiles, 1, 0)]  # each [levels, H, O]
        return [Forecasts(q[2], q[[1, 0]], q[[3, 4]]) for q in levels]
    draw = functools.partial(_paths, data.horizon, paths)
    z = training.predict(model, draw, params, inputs, ORIGINS_AT_A_TIME)  # [S, O, P, H]
    sums = data.transform.accumulate(z.transpose(3, 2, 0, 1))
    drawn = data.transform.inverse(sums, base[:, None, None]).transpose(2, 1, 0, 3)  # [S, P, H, O]
    return [Forecasts.from_paths(each) for each in (drawn.reshape(-1, *drawn.shape[2:]), *drawn)]


def _paths(horizon: int, count: int, model: Forecaster, params: ReadoutParams, batch: Examples) -> jax.Array:
    """Returns paths [B, P, H] after each history of a batch, drawn with a key for each history."""

    def draw(history: jax.Array, key: jax.Array) -> jax.Array:
        return model.sample(params, history, horizon, key, count)[..., 0].T

    return jax.vmap(draw, in_axes=(1, 0))(batch.steps, batch.whole)


def _direct_outputs(model: Forecaster, params: ReadoutParams, batch: Examples) -> jax.Array:
    """Returns a direct model's outputs for all steps ahead, [B, H, head.outputs]."""
    _, outputs = model.apply(params, batch.steps, key=None)
    return outputs[-1, :, :, 0]
