"""Config, flags, networks and injected anomalies, checked before anything is run."""

import dataclasses

import numpy as np

from experiments.anomaly.injection import Copies, inject, moving_mean
from experiments.common import flags, series
from experiments.common.flags import UserError, setting
from experiments.common.forecasters import make_forecaster
from experiments.common.series import Data, SeriesConfig
from rnn_jax.models import Forecaster


@dataclasses.dataclass(frozen=True)
class Config(SeriesConfig):
    """Config of a run; every field is a flag."""

    label: str | None = setting(
        None,
        "Column that labels each row: the file is then a table of events, such as network traffic or a log, whose rows "
        "are scored by their --categories and --covariates (numbers) together. Flags for series have no effect.",
    )
    categories: tuple[str, ...] = setting((), "Comma list of the columns of categories, with --label.", checked=False)
    normal: str | None = setting(None, "Label of normal rows; by default the most frequent of the training set.")
    split: tuple[str, ...] = setting(("50", "20", "30"), checked=False)
    length: int | None = setting(None, "Points of an anomaly (a spike has one); by default a season.", least=2)
    size: float = setting(1.0, "Size of spikes and level shifts, in standard deviations from the moving mean.")
    copies: int = setting(30, "Copies of the validation and test set, each with other anomalies.", least=6)
    grace: int | None = setting(
        None, "Points after an anomaly that do not count; by default as many as the forecasters read.", least=0
    )
    false_alarms: float = setting(10.0, "False alarms in 1,000 normal validation points, which set the threshold.")
    width: int | None = setting(
        None, "Last residuals that are also judged jointly; by default half an anomaly; 1: none."
    )


QUICK = Config(cells=("gru",), hidden_size=16, epochs=10, seeds=2, copies=12)


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """Series, networks and anomalies of a run."""

    data: Data
    models: dict[str, Forecaster]  # by name
    validation: Copies
    test: Copies
    length: int  # points of an anomaly
    scale: float  # of spikes and level shifts, in the units of the series
    width: int  # residuals judged jointly


def check_false_alarms(config: Config) -> None:
    """Raises a UserError if more false alarms are asked for than there are points."""
    if config.false_alarms >= 1000:
        raise UserError(f"--false_alarms must be below 1000, got {config.false_alarms}")


def plan(config: Config) -> Plan:
    """Returns what a config asks for.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    for name in ("categories", "normal"):
        if getattr(config, name):
            raise UserError(f"--{name} needs --label=COLUMN, which tells normal rows from anomalies")
    check_false_alarms(config)
    data = series.load(config, 1)
    models = {name: make_forecaster(config, data, name) for name in config.cells}
    length = config.length or max(2, data.season)
    scale = config.size * float(np.std(data.training - moving_mean(data.training, data.season)))
    memory = max(data.window, data.autoregression.order) + data.transform.lost
    grace = memory if config.grace is None else config.grace
    width, rng = config.width or max(1, length // 2), np.random.default_rng(config.seed)
    copies = {}
    for split, ends in {"validation": data.ends[:2], "test": data.ends[1:]}.items():
        try:
            copies[split] = inject(data.series, *ends, config.copies, data.season, length, scale, grace, rng)
        except ValueError as error:
            raise UserError(f"{data.source}, {split} set: {error}; a smaller --length needs less") from error
    return Plan(data, models, **copies, length=length, scale=scale, width=width)
