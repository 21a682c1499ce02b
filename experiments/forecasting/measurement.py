"""Forecasts of the test set by baselines and networks, and their scores for each step ahead."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.baselines import naive_series, series_forecasts
from experiments.common.evaluations import Evaluation, Evaluations, Result, mean_over_series
from experiments.common.panel import Panel
from experiments.common.series import AUTOREGRESSION, Data, Origins
from experiments.forecasting.config import Config
from rnn_jax.applications import Forecasts, SeriesForecaster
from rnn_jax.applications.series_forecaster import INTERVALS
from rnn_jax.models import Forecaster
from rnn_jax.significance import diebold_mariano


class Scores(NamedTuple):
    """Scores for each step ahead; NaN if nothing was scored or the model gives no intervals."""

    mae: np.ndarray  # [H], in the units of the series
    rmse: np.ndarray  # [H], likewise
    mase: np.ndarray  # [H], MAE divided by that of seasonal naive forecasts within the training set
    coverage: np.ndarray  # [INTERVALS, H], share of the observations inside
    width: np.ndarray  # [INTERVALS, H], mean width in the units of the series
    margins: np.ndarray  # [2, 3], MAE less the autoregression's at the first and last step: a `Difference` each;
    # pooled over several series: likewise of the MASE
    unit: float  # of the MASE


Results = Mapping[str, Result[Scores]]  # by model


def score(forecasts: Forecasts, origins: Origins, unit: float, reference: Forecasts) -> Scores:
    """Returns means over the origins.

    Args:
      forecasts: forecasts.
      origins: origins and observed values.
      unit: unit of the MASE (Hyndman & Koehler 2006).
      reference: forecasts of the autoregression.
    """

    def mean(values: np.ndarray) -> np.ndarray:
        counts = origins.scored.sum(axis=1)
        sums = np.where(origins.scored, values, 0).sum(axis=1)
        return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)

    errors = forecasts.center - origins.actual
    mae, rmse = mean(np.abs(errors)), np.sqrt(mean(errors**2))
    losses, others = (
        # NaN is a missing loss: a forecast that is NaN has an infinite one.
        np.where(origins.scored, np.nan_to_num(np.abs(each.center - origins.actual), nan=np.inf, posinf=np.inf), np.nan)
        for each in (forecasts, reference)
    )
    margins = np.array([diebold_mariano(losses[h - 1], others[h - 1], h) for h in (1, len(mae))])
    if forecasts.lower is None or forecasts.upper is None:
        unknown = np.full((len(INTERVALS), len(mae)), np.nan)
        return Scores(mae, rmse, mae / unit, unknown, unknown, margins, unit)
    inside = (forecasts.lower <= origins.actual) & (origins.actual <= forecasts.upper)
    coverage = np.stack([mean(each) for each in inside])
    width = np.stack([mean(each) for each in forecasts.upper - forecasts.lower])
    return Scores(mae, rmse, mae / unit, coverage, width, margins, unit)


def pool(each: Sequence[Scores]) -> Scores:
    """Returns the mean scores of several series; margins are those of MASE, tested over the series (paired t-test)."""
    scaled = np.array([scores.margins[:, 0] / scores.unit for scores in each]).T  # [2, series]
    margins = np.array([diebold_mariano(of_step, np.zeros(len(each)), 1) for of_step in scaled])
    return mean_over_series(each)._replace(margins=margins)


def flat(scores: Scores) -> dict[str, float]:
    """Returns each score at the first step, at the last step, and its mean over all, by the name of its field.

    The margin over the autoregression is at the first and last step, with its interval.
    """
    curves = {"mae": scores.mae, "rmse": scores.rmse, "mase": scores.mase}
    for i, probability in enumerate(INTERVALS):
        curves[f"coverage_{100 * probability:.0f}"] = scores.coverage[i]
        curves[f"width_{100 * probability:.0f}"] = scores.width[i]
    margins = {
        f"test/mae_{field}/{step}": float(value)
        for step, margin in zip(("first_step", "last_step"), scores.margins, strict=True)
        for field, value in zip(("margin", "margin_low", "margin_high"), margin, strict=True)
    }
    return margins | {
        f"test/{name}/{step}": float(value)
        for name, curve in curves.items()
        for step, value in (("first_step", curve[0]), ("last_step", curve[-1]), ("mean", np.mean(curve)))
    }


def evaluations(config: Config, panel: Panel) -> Evaluations[Scores]:
    """Returns the evaluations of forecasts of the test sets."""
    longest = max(len(data.origins().points) for data in panel.each)

    def application(model: Forecaster, _: Sequence[Scores]) -> SeriesForecaster:
        return SeriesForecaster(**panel.file_fields(config, model), horizon=panel.first.horizon, paths=config.paths)

    return Evaluations([evaluation(config, data, longest) for data in panel.each], pool, application)


def evaluation(config: Config, data: Data, longest: int = 0) -> Evaluation[Scores]:
    """Returns the evaluation of forecasts of a test set; `longest` as `forecast`."""
    origins = data.origins()
    unit = naive_series.seasonal_error(data.training, data.series.observed[: data.ends.training], data.season)

    def predict(model: Forecaster, params: Any, key: jax.Array) -> list[Forecasts]:
        return forecast(data, model, params, origins, key, config.paths, longest)

    known = series_forecasts.baselines(data, config.paths * config.seeds, config.seed)
    reference = known[AUTOREGRESSION]
    return Evaluation(known, predict, lambda each: score(each, origins, unit, reference), flat, {})


def forecast(
    data: Data, model: Forecaster, params: Any, origins: Origins, key: jax.Array, paths: int, longest: int = 0
) -> list[Forecasts]:
    """Returns the forecasts of the ensemble, followed by those of each seed of params [seeds, ...].

    Fewer than `longest` origins are filled up with the last one, so that one program serves series of all lengths.
    """
    count = len(origins.points)
    some = dataclasses.replace(origins, points=np.pad(origins.points, (0, max(0, longest - count)), "edge"))
    application = SeriesForecaster(model, data.transform, data.window, horizon=data.horizon, paths=paths)
    histories = some.histories(data.inputs, data.window)
    known = some.future(data.known, data.horizon, first=2).transpose(0, 2, 1)
    base = some.base(data.series.values, data.transform)
    forecasts = application.forecasts(params, histories, base, key, known)
    return [jax.tree.map(lambda array: array[..., :count], each) for each in forecasts]
