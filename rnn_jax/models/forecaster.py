"""Forecasts of a series by any cell: what comes next, step after step by feeding back, or many steps at once."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, masking
from rnn_jax.cell import Cell, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models.heads import Head
from rnn_jax.models.readout import ReadoutModel, ReadoutParams
from rnn_jax.tasks.task import weighted_mean
from rnn_jax.unrolling import unroll


class Forecast(NamedTuple):
    """What is said of the steps after a history."""

    mean: jax.Array  # [horizon, *batch, F]
    lower: jax.Array  # [intervals, horizon, *batch, F], each with as much probability below as above
    upper: jax.Array  # likewise


@dataclasses.dataclass(frozen=True)
class Forecaster:
    """p(x_{t+1}, .., x_{t+H} | x_1 .. x_t) = head(h_t V + c), with h_t the output of a cell that has read x_1 .. x_t.

    With H = 1 it forecasts further by feeding back: it draws x_{t+1}, reads it, draws x_{t+2}, and so on (DeepAR,
    Salinas et al. 2020, arXiv:1704.04110). With a greater H it forecasts H steps at once, each by itself
    ("direct"; Wen et al. 2017, arXiv:1711.11053). Each feature of x is forecast, independently given the past.

    Args:
      cell: reads the series' F features. To feed back, it must be one that can be stepped.
      head: what is said of each number.
      horizon: H, steps forecast at once.

    Raises:
      TypeError: where the head is none.
      ValueError: where horizon is not a positive integer.
    """

    cell: Cell
    head: Head
    horizon: int = 1

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.horizon, "Forecaster: horizon")
        if not isinstance(self.head, Head):
            raise TypeError(f"Forecaster: head must be a Gaussian or Quantiles, got {self.head!r}")

    @property
    def network(self) -> ReadoutModel:
        """The cell and its readout."""
        return ReadoutModel(self.cell, self.horizon * self.cell.input_size * self.head.outputs)

    def init(self, key: jax.Array) -> ReadoutParams:
        return self.network.init(key)

    def apply(
        self,
        params: ReadoutParams,
        xs: Any,
        state: State | None = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        engine: Engine = Hoisted(),
        key: jax.Array | None = None,
    ) -> tuple[State, jax.Array]:
        """What the head makes its forecasts of, after every step; arguments and errors as `rnn_jax.unroll`.

        Returns:
          The final state, and the outputs [T, *batch, H, F, head.outputs].
        """
        final_state, ys = self.network.apply(params, xs, state, lengths=lengths, resets=resets, engine=engine, key=key)
        return final_state, self._shaped(ys)

    def loss(
        self,
        params: ReadoutParams,
        xs: Any,
        targets: Any,
        state: State | None = None,
        *,
        lengths: Any = None,
        weights: Any = None,
        engine: Engine = Hoisted(),
        key: jax.Array | None = None,
    ) -> tuple[State, jax.Array]:
        """The head's loss, a mean over steps, sequences and features.

        Args:
          params: from `init`.
          xs: inputs [T, *batch, F].
          targets: what comes after each of them, [T, *batch, H, F]; `forecast_targets(series, H)` of the series itself.
          state: as `rnn_jax.unroll`'s.
          lengths: likewise.
          weights: of the targets, [T, *batch, H]; None means 1. Where one is 0 the target may be anything, NaN
            included.
          engine: as `rnn_jax.unroll`'s.
          key: likewise.

        Returns:
          The final state, and the loss.

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll`; where targets or weights have another shape.
        """
        final_state, outputs = self.apply(params, xs, state, lengths=lengths, engine=engine, key=key)
        targets = jnp.asarray(targets, outputs.dtype)
        if targets.shape != outputs.shape[:-1]:
            raise ValueError(
                f"Forecaster: targets must be [T, *batch, H, F] = {list(outputs.shape[:-1])}, got shape "
                f"{list(targets.shape)}"
            )
        weights = jnp.ones(targets.shape[:-1], outputs.dtype) if weights is None else jnp.asarray(weights)
        if weights.shape != targets.shape[:-1]:
            raise ValueError(
                f"Forecaster: weights must be [T, *batch, H] = {list(targets.shape[:-1])}, got shape "
                f"{list(weights.shape)}"
            )
        if lengths is not None:
            weights = masking.blank(weights, masking.before_end(jnp.asarray(lengths), len(outputs)))
        targets = masking.blank(targets, weights > 0)  # before the loss: 0 times NaN would come to the gradient
        return final_state, weighted_mean(jnp.mean(self.head.loss(outputs, targets), axis=-1), weights)

    def forecast(
        self,
        params: ReadoutParams,
        history: Any,
        horizon: int,
        key: jax.Array | None,
        *,
        intervals: tuple[float, ...] = (0.8, 0.95),
        paths: int = 200,
    ) -> Forecast:
        """What comes after a history, with intervals; one compiled program.

        Args:
          params: from `init`.
          history: [T, *batch, F], T at least 1.
          horizon: steps wanted; of a direct model at most H.
          key: of the paths drawn. None: the model reads its own mean; its intervals then leave out what was uncertain
            before each step, and are too narrow from the second step on. A direct model draws nothing.
          intervals: probabilities, in (0, 1).
          paths: drawn, of which mean and intervals are taken.

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll`; where horizon or paths is not a positive integer, horizon is more
            than a direct model has, or an interval is not in (0, 1).
        """
        checks.integer_at_least(1, paths, "Forecaster.forecast: paths")
        for interval in intervals:
            checks.positive(interval, "Forecaster.forecast: an interval")
            if interval >= 1:
                raise ValueError(f"Forecaster.forecast: an interval must be in (0, 1), got {interval}")
        if self.horizon == 1 and key is not None:
            drawn = self.sample(params, history, horizon, key, paths)
            levels = jnp.asarray([level for p in intervals for level in (0.5 - p / 2, 0.5 + p / 2)])
            found = jnp.quantile(drawn, levels, axis=1)
            return Forecast(jnp.mean(drawn, axis=1), found[::2], found[1::2])
        self._check_horizon(horizon, history)
        outputs = _outputs(self, params, history, horizon)
        sides = [[self.head.quantile(outputs, jnp.array(0.5 + s * p / 2)) for p in intervals] for s in (-1, 1)]
        empty = jnp.zeros((0, *outputs.shape[:-1]))
        return Forecast(self.head.center(outputs), *(jnp.stack(side) if side else empty for side in sides))

    def sample(self, params: ReadoutParams, history: Any, horizon: int, key: jax.Array, paths: int) -> jax.Array:
        """Paths [horizon, paths, *batch, F] drawn after a history [T, *batch, F], by feeding back.

        Raises:
          TypeError, ValueError: as `forecast`; where the model is a direct one.
        """
        checks.integer_at_least(1, paths, "Forecaster.sample: paths")
        if self.horizon > 1:
            raise ValueError(f"Forecaster.sample: a model of {self.horizon} steps at once draws no paths")
        self._check_horizon(horizon, history)
        return _sample(self, params, history, horizon, key, paths)

    def step(self, params: ReadoutParams, state: State, x: jax.Array) -> tuple[State, jax.Array]:
        """One x [*batch, F] read: the state after it, and the outputs [*batch, H, F, head.outputs]."""
        state = self.cell.step(params.cell, state, self.cell.project(params.cell, x))
        return state, self._shaped(self.network.read(params, self.cell.output(params.cell, state, x)))

    def _shaped(self, ys: jax.Array) -> jax.Array:
        return ys.reshape(*ys.shape[:-1], self.horizon, self.cell.input_size, self.head.outputs)

    def _check_horizon(self, horizon: int, history: Any) -> None:
        checks.integer_at_least(1, horizon, "Forecaster: horizon")
        if 1 < self.horizon < horizon:
            raise ValueError(f"Forecaster: horizon must be at most the model's {self.horizon}, got {horizon}")
        if not len(history):
            raise ValueError("Forecaster: history must hold at least one step, got none")


def forecast_targets(series: Any, horizon: int) -> jax.Array:
    """The `horizon` steps after each step of a series [N, *batch, F]: [N - horizon, *batch, horizon, F].

    Raises:
      ValueError: where horizon is not a positive integer or the series has no more steps.
    """
    checks.integer_at_least(1, horizon, "forecast_targets: horizon")
    series = jnp.asarray(series)
    if len(series) <= horizon:
        raise ValueError(f"forecast_targets: a series must have more than horizon = {horizon} steps, got {len(series)}")
    count = len(series) - horizon
    return jnp.stack([series[h : h + count] for h in range(1, horizon + 1)], axis=-2)


def _read(model: Forecaster, params: ReadoutParams, history: Any) -> tuple[State, jax.Array]:
    """The state after a history, and the outputs of its last step."""
    state, hs = unroll(model.cell, params.cell, history)
    return state, model._shaped(model.network.read(params, hs[-1]))


@functools.partial(jax.jit, static_argnames=("model", "horizon"))
def _outputs(model: Forecaster, params: ReadoutParams, history: Any, horizon: int) -> jax.Array:
    """[horizon, *batch, F, head.outputs]: of a direct model all of one step, else of a model that reads its mean."""
    state, outputs = _read(model, params, history)
    if model.horizon > 1:
        return jnp.moveaxis(outputs, -3, 0)[:horizon]

    def step(carry: tuple[State, jax.Array], _: None) -> tuple[tuple[State, jax.Array], jax.Array]:
        state, outputs = carry
        return model.step(params, state, model.head.center(outputs[..., 0, :, :])), outputs[..., 0, :, :]

    return jax.lax.scan(step, (state, outputs), length=horizon)[1]


@functools.partial(jax.jit, static_argnames=("model", "horizon", "paths"))
def _sample(
    model: Forecaster, params: ReadoutParams, history: Any, horizon: int, key: jax.Array, paths: int
) -> jax.Array:
    many = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[None], (paths, *leaf.shape)), _read(model, params, history))

    def step(carry: tuple[State, jax.Array], key: jax.Array) -> tuple[tuple[State, jax.Array], jax.Array]:
        state, outputs = carry
        x = model.head.sample(outputs[..., 0, :, :], key)
        return model.step(params, state, x), x

    return jax.lax.scan(step, many, jax.random.split(key, horizon))[1]
