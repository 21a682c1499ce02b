"""Config, flags and the networks that they make, checked before anything is run."""

import dataclasses

from experiments.common import flags, networks
from experiments.common.flags import UserError, setting
from experiments.common.forecasters import make_forecaster
from experiments.common.panel import Panel, load
from experiments.common.series import DEFAULT_HORIZON, SeriesConfig
from rnn_jax.models import Forecaster


@dataclasses.dataclass(frozen=True)
class Config(SeriesConfig):
    """Config of a run; every field is a flag."""

    horizon: int | None = setting(
        None, f"Steps ahead to forecast; by default a season, for Mackey-Glass {DEFAULT_HORIZON}."
    )
    cells: tuple[str, ...] = setting(("rnn", "lstm", "gru"), checked=False)
    direct: tuple[str, ...] = setting(
        ("gru",), f"Networks that forecast all steps at once, by quantiles. {networks.CELLS_HELP}", checked=False
    )
    paths: int = setting(200, "Paths that each seed draws from each origin, to estimate mean and intervals.")


QUICK = Config(cells=("rnn", "gru"), direct=(), hidden_size=16, epochs=12, paths=50, seeds=2)


def plan(config: Config) -> tuple[Panel, dict[str, Forecaster]]:
    """Returns the series and the networks, by name, of a config.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    if not (config.cells or config.direct):
        raise UserError("--cells and --direct must name at least one network between them, got none")
    panel = load(config, config.horizon)
    models = {name: make_forecaster(config, panel, name) for name in config.cells}
    for name in config.direct:
        models[f"direct {name}"] = make_forecaster(config, panel, name, panel.first.horizon)
    return panel, models
