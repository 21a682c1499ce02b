"""A series for forecasting: the flags that describe it, what is known of it, forecast origins; `panel` reads it."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.baselines.autoregression import Autoregression
from experiments.common import networks
from experiments.common.flags import FitConfig, setting
from rnn_jax import training
from rnn_jax.applications.columns import Columns
from rnn_jax.data import Examples, Series, SplitEnds, Transform
from rnn_jax.data.number_table import DECIMALS, DELIMITERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DEFAULT_LENGTH, DEFAULT_SPACING = 3000, 6.0  # points of the Mackey-Glass series, and time units between them
DEFAULT_SEASON, DEFAULT_HORIZON = 8, 14  # its cycles take about 50 units; x(t + 84) is the classic forecast
DEFAULT_LEARNING_RATE = 0.005  # for Mackey-Glass, which is far from linear
AUTO = "auto"
AUTOREGRESSION = "autoregression"  # name of the baseline


@dataclasses.dataclass(frozen=True)
class SeriesConfig(FitConfig):
    """Flags of the experiments that forecast a series."""

    data: str | None = setting(
        None,
        f"CSV file; by default {DEFAULT_LENGTH:,} points of the Mackey-Glass equation, {DEFAULT_SPACING:g} time units "
        "apart.",
    )
    group: tuple[str, ...] = setting(
        (),
        "Column of --data that names the series of each row, such as a store or a sensor; several as a comma list. One "
        "network is trained on all series; each has scale, dates, split and baselines of its own.",
        checked=False,
    )
    target: str | None = setting(None, "Name of the column to forecast; by default the last that holds numbers.")
    covariates: tuple[str, ...] = setting(
        (),
        "Comma list of further columns that the models read. Only values up to the present enter a forecast; those of "
        "the future are forecast with the target, or not used.",
        checked=False,
    )
    calendar: bool = setting(
        False,
        "The models also read hour of day, day of week and month of the step that they forecast, as sine and cosine: "
        "those that the dates resolve and span twice.",
    )
    delimiter: str | None = setting(
        None, "What separates its columns: semicolon, tab or comma; by default found.", choices=tuple(DELIMITERS)
    )
    decimal: str | None = setting(None, "Its decimal sign, point or comma; by default found.", choices=tuple(DECIMALS))
    fill: int = setting(
        0,
        "Longest gap, in rows, missing dates included, that is filled by interpolation; a longer one is refused.",
        least=0,
    )
    split: tuple[str, ...] = setting(
        ("70", "15", "15"), "Comma list of percents: training, validation and test set, in time order.", checked=False
    )
    season: int | None = setting(None, f"Points in a season; by default 12, for Mackey-Glass {DEFAULT_SEASON}.")
    transform: str = setting(
        AUTO,
        "Quantity to forecast: level, log or root, with lags of differences, as root or log-1-12; auto: the one with "
        "which an autoregression does best on the validation set.",
    )
    cells: tuple[str, ...] = setting(
        ("rnn", "lstm", "gru"), f"Networks that forecast the next value. {networks.CELLS_HELP}"
    )
    hidden_size: int = setting(32, "Units of each layer.")
    layers: int = setting(1, "Number of layers.")
    window: int | None = setting(
        None,
        "Points that a network reads before a forecast; by default two seasons, at least 32 and twice the order of the "
        "autoregression.",
        least=2,
    )
    taps: int | None = setting(
        None,
        "Most recent inputs that the readout sees in addition to the cell's output; it is initialised as an "
        "autoregression on them. By default the order of the best autoregression; 0: none.",
        least=0,
    )
    epochs: int = setting(100)
    learning_rate: float | None = setting(  # type: ignore[assignment]  # None: the default depends on the data
        None,
        "Adam's initial learning rate; it falls to 0 along a cosine; by default 0.001, for Mackey-Glass "
        f"{DEFAULT_LEARNING_RATE}.",
    )

    def trainer(self, model: Any, buckets: Sequence[Examples]) -> training.Trainer[Any]:
        """Returns the trainer of `FitConfig`, by default with the learning rate that suits the data."""
        rate = self.learning_rate or (DEFAULT_LEARNING_RATE if self.data is None else 1e-3)
        return FitConfig.trainer(dataclasses.replace(self, learning_rate=rate), model, buckets)


@dataclasses.dataclass(frozen=True, eq=False)
class Origins:
    """Points from which forecasts are made (rolling origins), and the observations that follow them."""

    points: np.ndarray  # integers [O]: the last known point of each origin
    actual: np.ndarray  # [H, O], anything if not scored
    scored: np.ndarray  # booleans [H, O]: within the split, observed, and forecast from an observed point

    @classmethod
    def between(cls, series: Series, start: int, stop: int, horizon: int) -> "Origins":
        """Returns the origins whose next point lies in [start, stop).

        An interpolated number depends on the number after its gap: no forecast from there is scored.
        """
        points = np.arange(start - 1, stop - 1)
        targets = points + np.arange(1, horizon + 1)[:, None]
        inside = np.minimum(targets, stop - 1)
        scored = (targets < stop) & series.observed[inside] & series.observed[points]
        return cls(points, series.values[inside], scored)

    def histories(self, values: np.ndarray, length: int) -> np.ndarray:
        """Returns the `length` values up to each origin, [length, O]."""
        return values[self.points + np.arange(1 - length, 1)[:, None]]

    def future(self, known: np.ndarray, horizon: int, first: int = 1) -> np.ndarray:
        """Returns the known features of the steps `first`, first + 1, ... ahead, [horizon, K, O]."""
        steps = np.arange(first, first + horizon)[:, None]
        return known[self.points + steps].transpose(0, 2, 1)

    def base(self, values: np.ndarray, transform: Transform) -> np.ndarray:
        """Returns `transform.base` after each origin, [H, O]."""
        return transform.base(self.histories(values, transform.lost + 1), len(self.actual))


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """A series with its splits, and with the transform and the autoregression that are best on the validation set."""

    name: str | None  # of the series, if the file holds several
    source: str  # file, or name of the equation
    series: Series
    ends: SplitEnds
    season: int
    horizon: int
    window: int
    transform: Transform
    z: np.ndarray  # transformed [N]; 0 for the first `transform.lost` points
    usable: np.ndarray  # booleans [N]: z exists and depends on observed points only
    columns: Columns
    known: np.ndarray  # calendar features [N + horizon + 1, K]; those of a step are known before it
    autoregression: Autoregression
    validation_mae: float  # of the autoregression

    @property
    def note(self) -> str:
        """First line of output: what was read."""
        training, validation, test = np.diff([0, *self.ends])
        series = self.series
        layout = f" (UTF-8, delimiter {series.delimiter or 'none'}, decimal {series.decimal})" if series.decimal else ""
        others = f", covariates {', '.join(map(repr, series.covariates))}" if series.covariates else ""
        calendar = f", calendar {', '.join(self.columns.cycles)}" if self.columns.cycles else ""
        dates = ""
        if series.step:
            dates = f", {series.labels[0]} to {series.labels[-1]} at steps of {series.step}"
        elif series.labels != tuple(str(number) for number in range(1, len(series.labels) + 1)):
            dates = f", rows {series.labels[0]} to {series.labels[-1]}, no dates: gaps are not checked"
        return (
            f"{self.source}{layout}: column {series.name!r}{others}{calendar}{dates}, {np.sum(~series.observed):,} "
            f"numbers interpolated; in time order {training:,} rows for training, {validation:,} for validation, "
            f"{test:,} for the test"
        )

    @property
    def x(self) -> np.ndarray:
        """The transformed series and covariates, [N, 1 + C]."""
        return np.column_stack([self.z, self.columns.forward(self.series)])

    @property
    def inputs(self) -> np.ndarray:
        """What networks read, [N, 1 + C + K]: with x_t the calendar features of t + 1."""
        return np.column_stack([self.x, self.known[1 : len(self.z) + 1]])

    @property
    def training(self) -> np.ndarray:
        """Values of the training set."""
        return self.series.values[: self.ends.training]

    def origins(self) -> Origins:
        """Returns the origins of the test set."""
        return Origins.between(self.series, *self.ends[1:], self.horizon)

    def transformed(self, values: np.ndarray) -> np.ndarray:
        """Returns z [N, ...] of changed values [N, ...]; those that a scale cannot take become the series' least."""
        if not self.transform.scale.accepts(values):
            values = np.maximum(values, np.min(self.series.values))
        return np.concatenate([np.zeros((self.transform.lost, *values.shape[1:])), self.transform.forward(values)])

    def record(self) -> dict[str, Any]:
        """Returns the fields that every record of the series has."""
        points = zip(("training", "validation", "test"), np.diff([0, *self.ends]).tolist(), strict=True)
        return {
            "source": self.source,
            **({} if self.name is None else {"series": self.name}),
            "column": self.series.name,
            **({"covariates": ",".join(self.series.covariates)} if self.series.covariates else {}),
            **({"calendar": ",".join(self.columns.cycles)} if self.columns.cycles else {}),
            "delimiter": self.series.delimiter,
            "decimal": self.series.decimal,
            "season": self.season,
            "horizon": self.horizon,
            "window": self.window,
            "transform": self.transform.name,
            **{f"{split}/points": count for split, count in points},
            "filled": int(np.sum(~self.series.observed)),
        }

    def layout(self) -> str:
        """Returns the sentence of a caption on how the file was read; empty if there is none."""
        series = self.series
        columns = f"columns separated by a {series.delimiter}" if series.delimiter else "one column"
        return f" Read as {columns}, with decimal {series.decimal}s." if series.decimal else ""

    def label_time(self, axis: "Axes", points: np.ndarray, ticks: int) -> None:
        """Labels an axis over `points` of the series."""
        shown = points[:: max(1, len(points) // ticks)]
        axis.set_xticks(shown, [self.series.labels[i] for i in shown])
        axis.set_xlabel("time (units)" if self.source.startswith("Mackey") else "row, by its label")


def align(transform: Transform, series: Series) -> tuple[np.ndarray, np.ndarray]:
    """Returns `Data.z` and `Data.usable`, [N] each, of a fitted transform."""
    usable = series.observed.copy()
    for lag in transform.lags:
        usable[lag:] &= usable[:-lag].copy()
    usable[: transform.lost] = False
    return np.concatenate([np.zeros(transform.lost), transform.forward(series.values)]), usable
