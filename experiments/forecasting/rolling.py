"""Rolling origins: from every point of a part the next steps are forecast, and scored where they were observed."""

import dataclasses
from typing import NamedTuple

import numpy as np

INTERVALS = (0.8, 0.95)  # probabilities whose coverage is measured


@dataclasses.dataclass(frozen=True, eq=False)
class Origins:
    """The points forecast from, and what came after them."""

    places: np.ndarray  # integers [O]: the last point that is known
    actual: np.ndarray  # [H, O], anything where not scored
    scored: np.ndarray  # booleans [H, O]: within the part, observed, and forecast from an observed point

    @classmethod
    def of(cls, values: np.ndarray, observed: np.ndarray, start: int, stop: int, horizon: int) -> "Origins":
        """Those whose next point lies in [start, stop).

        A number interpolated in a gap is made of the number after it, so that nothing is forecast from there.
        """
        places = np.arange(start - 1, stop - 1)
        targets = places + np.arange(1, horizon + 1)[:, None]
        inside = np.minimum(targets, stop - 1)
        return cls(places, values[inside], (targets < stop) & observed[inside] & observed[places])

    def histories(self, values: np.ndarray, length: int) -> np.ndarray:
        """The `length` values up to each origin, [length, O]."""
        return values[self.places + np.arange(1 - length, 1)[:, None]]


class Predicted(NamedTuple):
    """Forecasts in the units of the series."""

    center: np.ndarray  # [H, O]
    lower: np.ndarray | None = None  # [INTERVALS, H, O]; None of a model that gives no intervals
    upper: np.ndarray | None = None

    @classmethod
    def of_paths(cls, paths: np.ndarray, center: np.ndarray | None = None) -> "Predicted":
        """Mean (where no other center is given) and intervals of draws [P, H, O]."""
        lower, upper = ([np.quantile(paths, 0.5 + side * p / 2, axis=0) for p in INTERVALS] for side in (-1, 1))
        return cls(paths.mean(axis=0) if center is None else center, np.stack(lower), np.stack(upper))


class Scores(NamedTuple):
    """Of each step ahead; NaN where nothing was scored or the model gives no intervals."""

    mae: np.ndarray  # [H], in the units of the series
    rmse: np.ndarray  # [H]
    mase: np.ndarray  # [H], the MAE over that of seasonal naive forecasts within the training part
    coverage: np.ndarray  # [INTERVALS, H], share of what fell within
    width: np.ndarray  # [INTERVALS, H], mean, in the units of the series: the sharpness


def scores(predicted: Predicted, origins: Origins, unit: float) -> Scores:
    """Means over the origins; `unit` is what MASE divides by (Hyndman & Koehler 2006)."""
    errors = predicted.center - origins.actual
    mae = _mean(np.abs(errors), origins.scored)
    rmse = np.sqrt(_mean(errors**2, origins.scored))
    nothing = np.full((len(INTERVALS), len(mae)), np.nan)
    if predicted.lower is None or predicted.upper is None:
        return Scores(mae, rmse, mae / unit, nothing, nothing)
    within = (predicted.lower <= origins.actual) & (origins.actual <= predicted.upper)
    coverage = np.stack([_mean(each, origins.scored) for each in within])
    width = np.stack([_mean(each, origins.scored) for each in predicted.upper - predicted.lower])
    return Scores(mae, rmse, mae / unit, coverage, width)


def seasonal_unit(values: np.ndarray, observed: np.ndarray, season: int) -> float:
    """The mean |x_t - x_{t - season}| over a training part."""
    both = observed[season:] & observed[:-season]
    return float(np.mean(np.abs(values[season:] - values[:-season])[both])) if both.any() else np.nan


def _mean(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Of each row; NaN of one where nothing is."""
    counts = where.sum(axis=1)
    sums = np.where(where, values, 0).sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
