"""The command line of the experiment."""

from experiments import forecasting
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = forecasting.__doc__  # what --help opens with

command_line.launch(forecasting.Config, forecasting.QUICK, forecasting.run, "runs/forecasting", settings_class=Settings)
