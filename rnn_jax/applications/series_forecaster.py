"""A forecaster of a series in the units of its file."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import training
from rnn_jax.applications.application import Application
from rnn_jax.applications.columns import NO_COLUMNS, Columns
from rnn_jax.data import Examples, Series, Transform, read_series, read_series_by
from rnn_jax.models import Forecaster, Quantiles
from rnn_jax.static import Static

DIRECT = Quantiles((0.025, 0.1, 0.5, 0.9, 0.975))  # the median, and the ends of the 80 % and 95 % intervals
INTERVALS = (0.8, 0.95)  # probabilities of the central intervals
BATCH = 64  # histories at a time


class Forecasts(NamedTuple):
    """Forecasts in the units of the series; of one history the last axis is left out."""

    center: np.ndarray  # [H, O]
    lower: np.ndarray | None = None  # [INTERVALS, H, O]; None if the model gives no intervals
    upper: np.ndarray | None = None

    @classmethod
    def from_paths(cls, paths: np.ndarray, center: np.ndarray | None = None) -> "Forecasts":
        """Returns mean, unless another center is given, and intervals of draws [P, H, O]."""
        lower, upper = ([np.quantile(paths, 0.5 + side * p / 2, axis=0) for p in INTERVALS] for side in (-1, 1))
        return cls(paths.mean(axis=0) if center is None else center, np.stack(lower), np.stack(upper))


@dataclasses.dataclass(frozen=True)
class NamedScale(Static):
    """What is one series' own if a model reads several: its name, transform, and the scales of its covariates."""

    name: str
    transform: Transform
    columns: Columns


@dataclasses.dataclass(frozen=True)
class ReadsSeries(Application):
    """An application that reads a column of a CSV file, as `read_series`, or all series of one, as `read_series_by`.

    Of several series those of the training have the scales fitted then; the scale of another is fitted to what is read.

    Args:
      model: forecaster of transformed values.
      transform: transform fitted to the training set; of several series, of the first.
      window: number of points that the model reads before its first forecast.
      column: name of the column; None means the last that holds numbers.
      fill: longest gap, in rows, that is filled by interpolation.
      delimiter: semicolon, tab or comma; None finds it.
      decimal: point or comma; None finds it.
      columns: what the model reads beside that column.
      group: columns that name the series of a row; () if a file holds one.
      scales: scale of each series of the training, if there are several.
    """

    model: Forecaster
    transform: Transform
    window: int
    column: str | None = None
    fill: int = 0
    delimiter: str | None = None
    decimal: str | None = None
    columns: Columns = NO_COLUMNS
    group: tuple[str, ...] = ()
    scales: tuple[NamedScale, ...] = ()

    def read(self, path: Any) -> Any:
        """Returns the series in a CSV file; of a file with several, by name."""
        layout = self.column, self.fill, self.delimiter, self.decimal, self.columns.covariates
        return read_series_by(path, self.group, *layout) if self.group else read_series(path, *layout)

    def predict(self, params: Any, inputs: Any, seed: int = 0) -> Any:
        """Returns the answer to a `Series`, or an array [N] if no further column is read; of several by name."""
        if not isinstance(inputs, Mapping):
            return self.predict_one(params, inputs, seed)
        answers = {}
        for name, series in inputs.items():
            try:
                answers[name] = self.alone(name, series).predict_one(params, series, seed)
            except ValueError as error:
                raise ValueError(f"series {name!r}: {error}") from error
        return answers

    @abc.abstractmethod
    def predict_one(self, params: Any, inputs: Any, seed: int) -> Any:
        """Returns the answer to one series; arguments and errors as `predict`."""

    @abc.abstractmethod
    def lines_of_one(self, inputs: Any, answer: Any) -> Sequence[str]:
        """Returns the answer to one series as lines of text, the first a header."""

    def lines(self, inputs: Any, answers: Any) -> Sequence[str]:
        if not isinstance(inputs, Mapping):
            return self.lines_of_one(inputs, answers)
        each = {name: self.lines_of_one(series, answers[name]) for name, series in inputs.items()}
        header = "\t".join(["series", next(iter(each.values()))[0]])
        return [header, *(f"{name}\t{line}" for name, lines in each.items() for line in lines[1:])]

    def alone(self, name: str, series: Series) -> Self:
        """Returns the application for one of several series.

        Raises:
          ValueError: if it has no scale and none can be fitted to it.
        """
        known = {scale.name: (scale.transform, scale.columns) for scale in self.scales}
        if name in known:
            transform, columns = known[name]
        else:
            transform = self.transform.fitted(self.values(series))
            fitted = Columns.fitted(series, transform, len(series.values), self.columns.cycles)
            columns = dataclasses.replace(fitted, step=self.columns.step)
        return dataclasses.replace(self, transform=transform, columns=columns, group=(), scales=())

    def values(self, inputs: Any) -> np.ndarray:
        """Returns the values [N] of a series, or of an array, after a check that they suffice.

        Raises:
          ValueError: if they are too few, or the transform does not accept them.
        """
        values = np.asarray(inputs.values if isinstance(inputs, Series) else inputs, float)
        least = self.window + self.transform.lost
        if values.ndim != 1 or len(values) < least or not np.all(np.isfinite(values)):
            raise ValueError(f"a series must be finite numbers [N], N at least {least}, got shape {list(values.shape)}")
        if not self.transform.scale.accepts(values):
            raise ValueError(f"a series forecast as {self.transform.name} must not hold {values.min():g}")
        return values

    def inputs(self, inputs: Any, horizon: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Returns what the model reads, [N - lost, features], and the features known of the steps after it."""
        values, lost = self.values(inputs), self.transform.lost
        z = np.concatenate([np.zeros(lost), self.transform.forward(values)])
        read, known = self.columns.inputs(z, inputs if isinstance(inputs, Series) else None, horizon)
        return read[lost:], known


@dataclasses.dataclass(frozen=True)
class SeriesForecaster(ReadsSeries):
    """Forecasts the steps after a series, with intervals.

    Args:
      horizon: number of steps.
      paths: number of paths drawn by a model of one step.
    """

    horizon: int = 1
    paths: int = 200

    def predict_one(self, params: Any, inputs: Any, seed: int) -> Forecasts:
        """Returns the forecasts after the last value of a series: [H], intervals [INTERVALS, H]."""
        read, known = self.inputs(inputs, self.horizon)
        histories = read[-self.window :, None]
        base = self.transform.base(self.values(inputs), self.horizon)[:, None]
        per_seed = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], params)
        first, *_ = self.forecasts(per_seed, histories, base, jax.random.key(seed), known[:, None])
        return Forecasts(*jax.tree.map(lambda each: each[..., 0], first))

    def forecasts(
        self, params: Any, histories: np.ndarray, base: np.ndarray, key: jax.Array, known: np.ndarray
    ) -> list[Forecasts]:
        """Returns the forecasts of the ensemble, followed by those of each seed.

        The ensemble pools the paths of all seeds; of direct models it averages the quantiles (Vincent averaging).

        Args:
          params: parameters [seeds, ...].
          histories: what the model reads up to each of O points, [window, O, features].
          base: `transform.base` after each of them [H, O].
          key: random key of the paths.
          known: known features of the steps from the second ahead on, [H, O, K].
        """
        steps = jnp.asarray(histories, jnp.result_type(float))
        whole = jax.random.split(key, histories.shape[1]), jnp.asarray(np.moveaxis(known, 1, 0), steps.dtype)
        inputs = Examples(steps, whole)
        # Without scales: one program serves all series.
        scaled = SeriesForecaster(self.model, Transform(), self.window, horizon=self.horizon, paths=self.paths)
        if self.model.horizon > 1:
            outputs = training.predict(
                scaled, SeriesForecaster.direct_outputs, params, inputs, BATCH
            )  # [S, O, H, levels]
            ordered = np.sort(outputs, axis=-1).transpose(3, 0, 2, 1)  # [levels, S, H, O]
            quantiles = self.transform.inverse(ordered * spread(self.transform, self.horizon)[:, None], base)
            levels = [quantiles.mean(axis=1), *np.moveaxis(quantiles, 1, 0)]  # each [levels, H, O]
            return [Forecasts(q[2], q[[1, 0]], q[[3, 4]]) for q in levels]
        z = training.predict(scaled, SeriesForecaster.drawn, params, inputs, BATCH)  # [S, O, P, H]
        sums = self.transform.accumulate(z.transpose(3, 2, 0, 1))
        drawn = self.transform.inverse(sums, base[:, None, None]).transpose(2, 1, 0, 3)  # [S, P, H, O]
        return [Forecasts.from_paths(each) for each in (drawn.reshape(-1, *drawn.shape[2:]), *drawn)]

    def drawn(self, params: Any, batch: Examples) -> jax.Array:
        """Returns paths [B, P, H] after each history of a batch, drawn with a key for each history."""

        def draw(history: jax.Array, whole: Any) -> jax.Array:
            key, known = whole
            given = known if self.model.known else None
            return self.model.sample(params, history, self.horizon, key, self.paths, given)[..., 0].T

        return jax.vmap(draw, in_axes=(1, 0))(batch.steps, batch.whole)

    def direct_outputs(self, params: Any, batch: Examples) -> jax.Array:
        """Returns a direct model's outputs for all steps ahead, [B, H, head.outputs]."""
        _, outputs = self.model.apply(params, batch.steps, key=None)
        return outputs[-1, :, :, 0]

    def lines_of_one(self, inputs: Any, answer: Any) -> Sequence[str]:
        names = [f"{side} {p:.0%}" for p in INTERVALS for side in ("lower", "upper")]
        center, lower, upper = answer
        rows = np.column_stack([center, *(side[i] for i in range(len(INTERVALS)) for side in (lower, upper))])
        numbers = ["\t".join([str(step), *(f"{x:.6g}" for x in row)]) for step, row in enumerate(rows, 1)]
        return ["\t".join(["step", "forecast", *names]), *numbers]


def spread(transform: Transform, horizon: int) -> np.ndarray:
    """Returns the standard deviations [H] of `Transform.accumulate` if z is white noise."""
    impulse = transform.accumulate(np.eye(1, horizon)[0])
    return np.sqrt(np.cumsum(impulse**2))
