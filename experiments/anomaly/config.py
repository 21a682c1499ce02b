"""What is run: the config, its flags' meaning, and what follows from it, checked before anything is run."""

import dataclasses

import numpy as np

from experiments.anomaly.injection import Copies, inject, moving_mean
from experiments.common import networks
from experiments.common.flags import UserError, setting
from experiments.forecasting import config as forecasting
from experiments.forecasting.config import Data
from rnn_jax import cells
from rnn_jax.models import Forecaster

_TOLD = {field.name: field.metadata["help"] for field in dataclasses.fields(forecasting.Config)}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    data: str | None = setting(None, _TOLD["data"])
    column: str | None = setting(None, _TOLD["column"])
    fill: int = setting(0, _TOLD["fill"])
    split: tuple[str, ...] = setting(("50", "20", "30"), _TOLD["split"])
    season: int | None = setting(None, _TOLD["season"])
    transform: str = setting(forecasting.AUTO, _TOLD["transform"])
    length: int | None = setting(None, "Points of an anomaly (a spike has one); by default a season.")
    size: float = setting(
        1.0, "Of a spike and of a shift of level, in standard deviations of the training part about its moving mean."
    )
    copies: int = setting(30, "Of the validation and the test part, each with other anomalies.")
    grace: int | None = setting(
        None,
        "Points after an anomaly that count neither as normal nor as a part of it; by default as many as the networks "
        "and the autoregression look back, who stumble over it once more.",
    )
    false_alarms: float = setting(10.0, "Per 1,000 normal points of the validation part; the threshold follows.")
    width: int | None = setting(
        None,
        "Residuals, the last ones, that the forecasters' scores judge together as well: too small is as strange as too "
        "large; by default half an anomaly; 1: none.",
    )
    cells: tuple[str, ...] = setting(
        ("rnn", "lstm", "gru"),
        f"Comma list: of {', '.join([*cells.CELLS, *networks.VARIANTS])}, or your own as module:Class.",
    )
    hidden_size: int = setting(32, _TOLD["hidden_size"])
    layers: int = setting(1, _TOLD["layers"])
    window: int | None = setting(None, _TOLD["window"])
    taps: int | None = setting(None, _TOLD["taps"])
    batch_size: int = setting(32, _TOLD["batch_size"])
    epochs: int = setting(100, _TOLD["epochs"])
    learning_rate: float | None = setting(None, _TOLD["learning_rate"])
    clip_norm: float = setting(1.0, _TOLD["clip_norm"])
    seeds: int = setting(3, "Networks of each kind; together they are one detector more.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(cells=("gru",), hidden_size=16, epochs=10, seeds=2, copies=12)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A config made ready."""

    data: Data
    models: dict[str, Forecaster]  # by name
    copies: dict[str, Copies]  # of the validation and the test part
    length: int
    grace: int
    width: int
    scale: float  # of a spike and a shift, in the units of the series


def plan(config: Config) -> Plan:
    """All that a config asks for.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    forecasting.check_numbers(config)
    for name, least in (("length", 2), ("copies", 6), ("grace", 0), ("width", 1)):
        value = getattr(config, name)
        if value is not None and value < least:
            raise UserError(f"--{name} must be at least {least}, got {value}")
    if not 0 < config.size < np.inf:
        raise UserError(f"--size must be a positive number, got {config.size}")
    if not 0 < config.false_alarms < 1000:
        raise UserError(f"--false_alarms must be between 0 and 1000, got {config.false_alarms}")
    if not config.cells:
        raise UserError("--cells must name at least one network, got none")
    data = forecasting.data_of(config, 1)
    models = {name: forecasting.forecaster(config, data, name) for name in config.cells}
    length = config.length or max(2, data.season)
    known = data.series.values[: data.parts.training]
    scale = config.size * float(np.std(known - moving_mean(known, data.season)))
    memory = max(data.window, data.autoregression.order) + data.transform.lost
    grace = memory if config.grace is None else config.grace
    rng = np.random.default_rng(config.seed)
    copies = {}
    for part, (start, stop) in {"validation": data.parts[:2], "test": data.parts[1:]}.items():
        try:
            values, season = data.series.values, data.season
            copies[part] = inject(values, start, stop, season, length, scale, grace, config.copies, rng)
        except ValueError as error:
            raise UserError(f"{data.source}, its {part} part: {error}; a smaller --length needs less") from error
    return Plan(data, models, copies, length, grace, config.width or max(1, length // 2), scale)
