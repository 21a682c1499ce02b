"""What is run: the config, its flags' meaning, and what follows from it, checked before anything is run."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import threadpoolctl

from experiments.common import networks
from experiments.common.flags import UserError, setting
from experiments.forecasting import baselines
from experiments.forecasting.baselines import Autoregression
from experiments.forecasting.rolling import Origins, seasonal_unit
from rnn_jax import Stack, cells, training
from rnn_jax.data import Level, Log, Root, Series, SplitEnds, Transform, mackey_glass, read_series, split_ends
from rnn_jax.layers import DelayLine
from rnn_jax.models import Forecaster, Gaussian, Quantiles

DEFAULT_LENGTH, DEFAULT_SPACING = 3000, 6.0  # of the Mackey-Glass series: points, and time units between them
DEFAULT_SEASON, DEFAULT_HORIZON = 8, 14  # its cycles take about 50 units; x(t + 84) is the classic forecast
DEFAULT_LEARNING_RATE = 0.005
DIRECT = Quantiles((0.025, 0.1, 0.5, 0.9, 0.975))  # the median and the intervals' ends
AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    data: str | None = setting(
        None,
        f"A CSV file; by default {DEFAULT_LENGTH:,} points of the Mackey-Glass equation, {DEFAULT_SPACING:g} time "
        "units apart.",
    )
    column: str | None = setting(None, "Its column, by name; by default the last that holds numbers.")
    fill: int = setting(0, "Longest gap, in rows, that is filled by interpolation; a longer one is refused.")
    split: tuple[str, ...] = setting(
        ("70", "15", "15"), "Comma list of percents: training, validation and test part, in time's order."
    )
    season: int | None = setting(None, f"Points of a season; by default 12, of Mackey-Glass {DEFAULT_SEASON}.")
    horizon: int | None = setting(
        None, f"Steps ahead that are forecast; by default a season, of Mackey-Glass {DEFAULT_HORIZON}."
    )
    transform: str = setting(
        AUTO,
        "What is forecast: level, log or root, with lags of differences, as root or log-1-12; auto: the one with which "
        "an autoregression does best on validation.",
    )
    cells: tuple[str, ...] = setting(
        ("rnn", "lstm", "gru"),
        "Comma list: networks that forecast one step and feed it back. "
        f"Of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as module:Class.",
    )
    direct: tuple[str, ...] = setting(("gru",), "Comma list: networks that forecast all steps at once, by quantiles.")
    hidden_size: int = setting(32, "Units of each layer.")
    layers: int = setting(1, "Layers, one above the other.")
    window: int | None = setting(
        None,
        "Points that a network reads before a forecast; by default two seasons, 32 at the least, and twice what the "
        "autoregression looks back.",
    )
    taps: int | None = setting(
        None,
        "Last points that a network's readout sees beside the cell, beginning as an autoregression; by default the "
        "order of the autoregression it has to beat; 0: none.",
    )
    batch_size: int = setting(32, "Windows a step.")
    epochs: int = setting(100, "Times that the training part is read; kept are the parameters best on validation.")
    learning_rate: float | None = setting(
        None,
        "Adam's at the start; it falls to 0 along a cosine; by default 0.001, of Mackey-Glass, where there is more to "
        f"learn than a regression knows, {DEFAULT_LEARNING_RATE}.",
    )
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    paths: int = setting(200, "Drawn from each origin by each seed, of which mean and intervals are taken.")
    seeds: int = setting(3, "Networks of each kind; together they are an ensemble.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(cells=("rnn", "gru"), direct=(), hidden_size=16, epochs=12, paths=50, seeds=2)


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """A series, its parts, and its values transformed as the training part wants it."""

    source: str  # in words
    series: Series
    parts: SplitEnds
    season: int
    horizon: int
    window: int
    unit: float  # of MASE
    autoregression: Autoregression
    chosen: float  # its MAE on validation
    z: np.ndarray  # [N], transformed; zero where there is none
    usable: np.ndarray  # booleans [N]: z is there, and made of observed points alone

    @property
    def transform(self) -> Transform:
        return self.autoregression.transform

    def origins(self, part: str) -> Origins:
        """Of `validation` or `test`."""
        start, stop = self.parts[:2] if part == "validation" else self.parts[1:]
        return Origins.of(self.series.values, self.series.observed, start, stop, self.horizon)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A config made ready."""

    data: Data
    models: dict[str, Forecaster]  # by name


def plan(config: Config) -> Plan:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    check_numbers(config)
    if not (config.cells or config.direct):
        raise UserError("--cells and --direct must name at least one network between them, got none")
    data = data_of(config, config.horizon)
    models = {name: forecaster(config, data, name) for name in config.cells}
    for name in config.direct:
        models[f"direct {name}"] = forecaster(config, data, name, data.horizon)
    return Plan(data, models)


def check_numbers(config: Any) -> None:
    """Refuses numbers out of their ranges; a field that a config lacks is none of its.

    Raises:
      UserError: by the flag's name.
    """
    names = (
        ("season", 1), ("horizon", 1), ("hidden_size", 1), ("layers", 1), ("window", 2), ("batch_size", 1),
        ("epochs", 1), ("paths", 1), ("seeds", 1), ("fill", 0), ("taps", 0),
    )  # fmt: skip
    for name, least in names:
        value = getattr(config, name, None)
        if value is not None and value < least:
            raise UserError(f"--{name} must be at least {least}, got {value}")
    for name in ("learning_rate", "clip_norm"):
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"--{name} must be a positive number, got {value}")


def data_of(config: Any, horizon: int | None) -> Data:
    """The series that a config names, split, and transformed for forecasts of some steps ahead (None: the default).

    Raises:
      UserError: where it cannot be read, is too short, or the transform does not suit it.
    """
    try:
        source, series = _series(config)
    except ValueError as error:
        hint = "; --fill=N fills gaps of up to N rows" if "is missing" in str(error) else ""
        raise UserError(f"--data: {error}{hint}") from error
    default = config.data is None
    season = config.season or (DEFAULT_SEASON if default else 12)
    horizon = horizon or (DEFAULT_HORIZON if default else season)
    window = config.window or max(32, 2 * season)
    values, observed = series.values, series.observed
    parts = _parts(config, source, len(values), season, horizon)
    origins = Origins.of(values, observed, *parts[:2], horizon)
    room = parts.training - window - horizon
    candidates = [
        (fitted, *_aligned(fitted, values, observed))
        for fitted in _transforms(config.transform, season, series, parts.training)
        if fitted.lost <= room
    ]
    if not candidates:
        raise UserError(
            f"{source}: too short: its training part has {parts.training} points, and windows of {window} with "
            f"--horizon={horizon} need more; a smaller --window, --season or --horizon needs less"
        )
    try:
        # OpenBLAS's threads spin while they wait: where cores are shared, this takes twenty times as long with them.
        with threadpoolctl.threadpool_limits(1):
            best, chosen = baselines.choose(values, candidates, parts.training, origins, season)
    except ValueError as error:
        raise UserError(f"{source}: {error}") from error
    if config.window is None:
        # So that the readout can see as far back as the autoregression, where the training part has room for it.
        window = max(window, min(2 * best.order, parts.training - horizon - best.transform.lost))
    z, usable = next(pair for transform, *pair in candidates if transform == best.transform)
    unit = seasonal_unit(values[: parts.training], observed[: parts.training], season)
    return Data(source, series, parts, season, horizon, window, unit, best, chosen, z, usable)


def forecaster(config: Any, data: Data, name: str, horizon: int = 1) -> Forecaster:
    """The network called `name` on one number a step; of a horizon above 1 it is a direct one.

    Raises:
      UserError: where it cannot be made or used.
    """
    found: Sequence[Any] = networks.make_cells(name, 1, config.hidden_size, data.window, config.layers)
    cell = found[0] if len(found) == 1 else Stack(tuple(found))
    # The second half of a window is learnt from: by then the line is full.
    taps = min(data.autoregression.order, data.window // 2 + 1) if config.taps is None else config.taps
    if taps > data.window // 2 + 1:
        raise UserError(f"--taps must be at most half of the window of {data.window}, and 1 more, got {taps}")
    cell = DelayLine(cell, taps) if taps else cell
    model = Forecaster(cell, DIRECT if horizon > 1 else Gaussian(), horizon)

    def use(key: jax.Array) -> Any:
        params, xs = model.init(key), jnp.zeros((2, 1, 1))
        loss = jax.value_and_grad(lambda p: model.loss(p, xs, jnp.zeros((2, 1, horizon, 1)))[1])(params)
        return loss, model.sample(params, xs, 2, key, 2) if horizon == 1 else ()

    try:
        jax.eval_shape(use, jax.random.key(0))
    except Exception as error:  # a user's own code
        raise UserError(f"cell {name!r} cannot be used: {type(error).__name__}: {error}") from error
    return model


def trainer(config: Any, model: Forecaster, steps: int) -> training.Trainer[Forecaster]:
    """Of a training of that many steps."""
    rate = config.learning_rate or (DEFAULT_LEARNING_RATE if config.data is None else 1e-3)
    optimizer = training.CosineDecay(training.Adam(rate), steps)
    return training.Trainer(model, config.batch_size, optimizer, training.ClipByNorm(config.clip_norm))


def _series(config: Any) -> tuple[str, Series]:
    if config.data is not None:
        return config.data, read_series(config.data, config.column, config.fill)
    if config.column is not None:
        raise UserError(f"--column={config.column} is of a file, which --data names")
    values = mackey_glass(DEFAULT_LENGTH, spacing=DEFAULT_SPACING)
    labels = tuple(f"{i * DEFAULT_SPACING:g}" for i in range(DEFAULT_LENGTH))
    return "Mackey-Glass, tau 17", Series("x", labels, values, np.ones(DEFAULT_LENGTH, bool))


def _parts(config: Any, source: str, length: int, season: int, horizon: int) -> SplitEnds:
    try:
        shares = [float(percent) / 100 for percent in config.split]
    except ValueError as error:
        raise UserError(f"--split must be three numbers, got {','.join(config.split)!r}") from error
    try:
        parts = split_ends(length, shares, least=2)
    except ValueError as error:
        raise UserError(f"--split={','.join(config.split)}, {source}: {error}") from error
    for (part, start), stop in zip(
        (("validation", parts.training), ("test", parts.validation)), parts[1:], strict=True
    ):
        if stop - start < horizon:
            raise UserError(
                f"{source}: too short: --horizon={horizon} needs as many points in its {part} part, which has "
                f"{stop - start}"
            )
    if parts.training <= season:
        raise UserError(f"--season={season} must be shorter than the training part, {parts.training} points")
    return parts


def _transforms(name: str, season: int, series: Series, stop: int) -> list[Transform]:
    """Those to choose from, fitted to the training part."""
    scales = {scale.name or "level": scale for scale in (Level(), Log(), Root())}
    if name == AUTO:
        lags = [(), (1,), *([(season,), (1, season)] if season > 1 else [])]
        wanted = [Transform(scale, each) for scale, each in itertools.product(scales.values(), lags)]
    else:
        first, *rest = name.split("-")
        if first not in scales or not all(lag.isdecimal() and int(lag) for lag in rest):
            raise UserError(
                f"--transform must be {AUTO}, or {', '.join(scales)} with lags of differences, as level-1 or "
                f"log-1-12, got {name!r}"
            )
        wanted = [Transform(scales[first], tuple(map(int, rest)))]
    found = []
    for transform in wanted:
        # All of the series, as a scale that a later number breaks could not be used.
        if not transform.scale.accepts(series.values):
            reason = f"{transform.name} cannot take its least value, {series.values.min():g}"
        else:
            try:
                found.append(transform.fitted(series.values[:stop]))
                continue
            except ValueError as error:
                reason = str(error)
        if name != AUTO:
            raise UserError(f"--transform={name}: {reason}")
    if not found:
        raise UserError(f"--transform={name}: the training part cannot be standardised: {reason}")
    return found


def _aligned(transform: Transform, values: np.ndarray, observed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Z [N], and where it is made of observed values alone."""
    z = np.concatenate([np.zeros(transform.lost), transform.forward(values)])
    usable = observed.copy()
    for lag in transform.lags:
        usable[lag:] &= usable[:-lag].copy()
    usable[: transform.lost] = False
    return z, usable
