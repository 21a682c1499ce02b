"""Config, flags, networks and injected anomalies, checked before anything is run."""

import dataclasses

import numpy as np

from experiments.anomaly.injection import Copies, inject, moving_mean
from experiments.common import detection, flags
from experiments.common.flags import UserError, setting
from experiments.common.forecasters import make_forecaster
from experiments.common.panel import Panel, load
from experiments.common.series import Data, SeriesConfig
from rnn_jax.models import Forecaster


@dataclasses.dataclass(frozen=True)
class Config(SeriesConfig):
    """Config of a run; every field is a flag."""

    split: tuple[str, ...] = setting(("50", "20", "30"), checked=False)
    length: int | None = setting(None, "Points of an anomaly (a spike has one); by default a season.", least=2)
    size: float = setting(1.0, "Size of spikes and level shifts, in standard deviations from the moving mean.")
    copies: int = setting(30, "Copies of the validation and test set, each with other anomalies.", least=6)
    grace: int | None = setting(
        None, "Points after an anomaly that do not count; by default as many as the forecasters read.", least=0
    )
    false_alarms: float = setting(10.0, detection.FALSE_ALARMS_HELP.format("points"))
    width: int | None = setting(
        None, "Last residuals that are also judged jointly; by default half an anomaly; 1: none."
    )


QUICK = Config(cells=("gru",), hidden_size=16, epochs=10, seeds=2, copies=12)


@dataclasses.dataclass(frozen=True, eq=False)
class Injected:
    """A series and its anomalies."""

    data: Data
    validation: Copies
    test: Copies
    length: int  # points of an anomaly
    scale: float  # of spikes and level shifts, in the units of the series
    width: int  # residuals judged jointly


def plan(config: Config) -> tuple[Panel, dict[str, Forecaster], list[Injected]]:
    """Returns the series, the networks by name, and the anomalies of each series.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    detection.check_false_alarms(config.false_alarms)
    panel, rng = load(config, 1), np.random.default_rng(config.seed)
    models = {name: make_forecaster(config, panel, name) for name in config.cells}
    return panel, models, [_inject(config, data, rng) for data in panel.each]


def _inject(config: Config, data: Data, rng: np.random.Generator) -> Injected:
    length = config.length or max(2, data.season)
    scale = config.size * float(np.std(data.training - moving_mean(data.training, data.season)))
    memory = max(data.window, data.autoregression.order) + data.transform.lost
    grace = memory if config.grace is None else config.grace
    copies = {}
    for split, ends in {"validation": data.ends[:2], "test": data.ends[1:]}.items():
        try:
            copies[split] = inject(data.series, *ends, config.copies, data.season, length, scale, grace, rng)
        except ValueError as error:
            series = "" if data.name is None else f", series {data.name!r}"
            raise UserError(f"{data.source}{series}, {split} set: {error}; a smaller --length needs less") from error
    return Injected(data, **copies, length=length, scale=scale, width=config.width or max(1, length // 2))
