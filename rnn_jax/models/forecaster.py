"""Forecasts of a series by any cell: one step at a time, fed back as input, or many steps at once."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, masking, noise, parameters
from rnn_jax.cell import Cell, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models.heads import Head
from rnn_jax.models.readout import ReadoutModel, ReadoutParams
from rnn_jax.static import Static
from rnn_jax.tasks.task import weighted_mean
from rnn_jax.unrolling import unroll


class Forecast(NamedTuple):
    """Predictions of the steps after a history."""

    mean: jax.Array  # [horizon, *batch, F]
    lower: jax.Array  # [intervals, horizon, *batch, F]: equal probability lies below `lower` and above `upper`
    upper: jax.Array  # [intervals, horizon, *batch, F]


@dataclasses.dataclass(frozen=True)
class Forecaster(Static):
    """p(x_{t+1}, .., x_{t+H} | x_1 .. x_t) = head(h_t V + c), with h_t the output of a cell that has read x_1 .. x_t.

    With H = 1 longer forecasts feed back their own draws: x_{t+1} is drawn and read, then x_{t+2} (DeepAR, Salinas et
    al. 2020, arXiv:1704.04110). With H > 1 all H steps are predicted at once and independently ("direct"; Wen et al.
    2017, arXiv:1711.11053). The features of x are predicted independently given the past.

    The last `known` features of an input are not predicted: with x_t the cell reads what is known then, such as the
    calendar features of step t+1.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import GRU
    >>> from rnn_jax.models import Forecaster, Gaussian
    >>> model = Forecaster(GRU(1, 8), Gaussian())
    >>> params = model.init(jax.random.key(0))
    >>> history = jnp.sin(jnp.arange(20.0))[:, None, None]  # [T, batch, features]
    >>> forecast = model.forecast(params, history, 5, jax.random.key(1), intervals=(0.8,), paths=10)
    >>> forecast.mean.shape, forecast.lower.shape
    ((5, 1, 1), (1, 5, 1, 1))

    Args:
      cell: cell that reads the F features of the series, and then the known ones; to feed back, it must be one that
        can be stepped.
      head: distribution of each predicted number.
      horizon: H, number of steps predicted at once.
      known: number of known features.

    Raises:
      TypeError: if `head` is not a head.
      ValueError: if horizon is not a positive integer, or `known` not a smaller number than the cell's features.
    """

    cell: Cell
    head: Head
    horizon: int = 1
    known: int = 0

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.horizon, "Forecaster: horizon")
        checks.integer_at_least(0, self.known, "Forecaster: known")
        if self.known >= self.cell.input_size:
            raise ValueError(
                f"Forecaster: known must be less than the cell's {self.cell.input_size} features, got {self.known}"
            )
        if not isinstance(self.head, Head):
            raise TypeError(f"Forecaster: head must be a Gaussian or Quantiles, got {self.head!r}")

    @property
    def features(self) -> int:
        """F, the number of predicted features."""
        return self.cell.input_size - self.known

    @property
    def network(self) -> ReadoutModel:
        """The cell and its readout."""
        return ReadoutModel(self.cell, self.horizon * self.features * self.head.outputs)

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
        key: noise.Key = noise.NOT_GIVEN,
    ) -> tuple[State, jax.Array]:
        """Computes the inputs of the head after every step; arguments and errors as `rnn_jax.unroll`.

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
        key: noise.Key = noise.NOT_GIVEN,
    ) -> tuple[State, jax.Array]:
        """Computes the head's loss, the mean over steps, sequences and features.

        Args:
          params: parameters from `init`.
          xs: inputs [T, *batch, F + known].
          targets: the H steps after each input [T, *batch, H, F], from `forecast_targets(series, H)`.
          state: state before the first step, as in `rnn_jax.unroll`.
          lengths: lengths, as in `rnn_jax.unroll`.
          weights: weights of the targets [T, *batch, H]; None means 1. A target of weight 0 may be anything, NaN
            included.
          engine: solver of the recurrence.
          key: random key of the cell's noise, required if there is some; None means evaluation.

        Returns:
          The final state, and the loss.

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll`; if targets or weights have another shape.
        """
        final_state, outputs = self.apply(params, xs, state, lengths=lengths, engine=engine, key=key)
        targets = jnp.asarray(targets, outputs.dtype)
        weights = jnp.ones(outputs.shape[:-2], outputs.dtype) if weights is None else jnp.asarray(weights)
        _check_shape("targets must be [T, *batch, H, F]", targets, outputs.shape[:-1])
        _check_shape("weights must be [T, *batch, H]", weights, outputs.shape[:-2])
        if lengths is not None:
            weights = masking.blank(weights, masking.before_end(lengths, len(outputs)))
        targets = masking.blank(targets, weights > 0)  # before the loss: 0 * NaN would reach the gradient
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
        known: Any = None,
    ) -> Forecast:
        """Predicts the steps after a history, with intervals, in one compiled program.

        Args:
          params: parameters from `init`.
          history: series [T, *batch, F + known], T at least 1.
          horizon: number of steps to predict; for a direct model at most H.
          key: random key of the paths. None: the model feeds back its mean; from the second step on the intervals are
            then too narrow, since they ignore the uncertainty of the steps before. A direct model draws nothing.
          intervals: probabilities of the intervals, in (0, 1).
          paths: number of paths to draw, from which mean and intervals are computed.
          known: known features that a model with some reads with each predicted step, [horizon, *batch, known]; those
            of the last are not used. A direct model reads none.

        Returns:
          The mean and the bounds of each interval.

        Raises:
          TypeError, ValueError: as `rnn_jax.unroll`; if horizon or paths is not a positive integer, a direct model has
            fewer steps than horizon, or an interval is not in (0, 1).
        """
        checks.integer_at_least(1, paths, "Forecaster.forecast: paths")
        for interval in intervals:
            checks.positive(interval, "Forecaster.forecast: an interval")
            if interval >= 1:
                raise ValueError(f"Forecaster.forecast: an interval must be in (0, 1), got {interval}")
        if self.horizon == 1 and key is not None:
            drawn = self.sample(params, history, horizon, key, paths, known)
            levels = jnp.asarray([level for p in intervals for level in (0.5 - p / 2, 0.5 + p / 2)])
            bounds = jnp.quantile(drawn, levels, axis=1)
            return Forecast(jnp.mean(drawn, axis=1), bounds[::2], bounds[1::2])
        self._check_horizon(horizon, history)
        self._check_known(known, horizon, history)
        outputs = _outputs(self, params, history, horizon, known)
        sides = [[self.head.quantile(outputs, jnp.array(0.5 + s * p / 2)) for p in intervals] for s in (-1, 1)]
        empty = jnp.zeros((0, *outputs.shape[:-1]))
        return Forecast(self.head.center(outputs), *(jnp.stack(side) if side else empty for side in sides))

    def sample(
        self, params: ReadoutParams, history: Any, horizon: int, key: jax.Array, paths: int, known: Any = None
    ) -> jax.Array:
        """Draws paths [horizon, paths, *batch, F] after a history, each fed back as input; arguments as `forecast`.

        Raises:
          TypeError, ValueError: as `forecast`; if the model is a direct one.
        """
        checks.integer_at_least(1, paths, "Forecaster.sample: paths")
        if self.horizon > 1:
            raise ValueError(f"Forecaster.sample: a model of {self.horizon} steps at once draws no paths")
        self._check_horizon(horizon, history)
        self._check_known(known, horizon, history)
        return _sample(self, params, history, horizon, key, paths, known)

    def step(
        self, params: ReadoutParams, state: State, x: jax.Array, known: jax.Array | None = None
    ) -> tuple[State, jax.Array]:
        """Reads x [*batch, F] and known features; returns the state, and the outputs [*batch, H, F, head.outputs]."""
        if known is not None:
            x = jnp.concatenate([x, jnp.broadcast_to(known, (*x.shape[:-1], self.known)).astype(x.dtype)], axis=-1)
        state = self.cell.step(params.cell, state, self.cell.project(params.cell, x))
        return state, self._shaped(self.network.read(params, self.cell.output(params.cell, state, x)))

    def _shaped(self, ys: jax.Array) -> jax.Array:
        return ys.reshape(*ys.shape[:-1], self.horizon, self.features, self.head.outputs)

    def _check_horizon(self, horizon: int, history: Any) -> None:
        checks.integer_at_least(1, horizon, "Forecaster: horizon")
        if 1 < self.horizon < horizon:
            raise ValueError(f"Forecaster: horizon must be at most the model's {self.horizon}, got {horizon}")
        if not len(history):
            raise ValueError("Forecaster: history must hold at least one step, got none")

    def _check_known(self, known: Any, horizon: int, history: Any) -> None:
        if self.horizon == 1 and (self.known or known is not None):
            expected = (horizon, *jnp.shape(history)[1:-1], self.known)
            if known is None or jnp.shape(known) != expected:
                got = "none" if known is None else f"shape {list(jnp.shape(known))}"
                raise ValueError(f"Forecaster: known must be [horizon, *batch, known] = {list(expected)}, got {got}")


def forecast_targets(series: Any, horizon: int) -> jax.Array:
    """Returns the `horizon` steps after each step of a series [N, *batch, F], [N - horizon, *batch, horizon, F].

    Raises:
      ValueError: if horizon is not a positive integer, or the series has no more steps than that.
    """
    checks.integer_at_least(1, horizon, "forecast_targets: horizon")
    series = jnp.asarray(series)
    if len(series) <= horizon:
        raise ValueError(f"forecast_targets: a series must have more than horizon = {horizon} steps, got {len(series)}")
    count = len(series) - horizon
    return jnp.stack([series[h : h + count] for h in range(1, horizon + 1)], axis=-2)


def _check_shape(message: str, array: jax.Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"Forecaster: {message} = {list(shape)}, got shape {list(array.shape)}")


def _after_history(model: Forecaster, params: ReadoutParams, history: Any) -> tuple[State, jax.Array]:
    """Returns the state after a history, and the outputs of its last step."""
    parameters.check(model, params)
    state, hs = unroll(model.cell, params.cell, history, key=None)
    return state, model._shaped(model.network.read(params, hs[-1]))


@functools.partial(jax.jit, static_argnames=("model", "horizon"))
def _outputs(model: Forecaster, params: ReadoutParams, history: Any, horizon: int, known: Any) -> jax.Array:
    """Returns outputs [horizon, *batch, F, head.outputs]: all at once, or with the model's mean fed back."""
    state, outputs = _after_history(model, params, history)
    if model.horizon > 1:
        return jnp.moveaxis(outputs, -3, 0)[:horizon]

    def step(carry: tuple[State, jax.Array], known: Any) -> tuple[tuple[State, jax.Array], jax.Array]:
        state, outputs = carry
        outputs = outputs[..., 0, :, :]
        return model.step(params, state, model.head.center(outputs), known), outputs

    return jax.lax.scan(step, (state, outputs), known, length=horizon)[1]


@functools.partial(jax.jit, static_argnames=("model", "horizon", "paths"))
def _sample(
    model: Forecaster, params: ReadoutParams, history: Any, horizon: int, key: jax.Array, paths: int, known: Any
) -> jax.Array:
    after = _after_history(model, params, history)
    start = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[None], (paths, *leaf.shape)), after)

    def step(carry: tuple[State, jax.Array], given: Any) -> tuple[tuple[State, jax.Array], jax.Array]:
        (state, outputs), (key, known) = carry, given
        x = model.head.sample(outputs[..., 0, :, :], key)
        return model.step(params, state, x, known), x

    return jax.lax.scan(step, start, (jax.random.split(key, horizon), known))[1]
