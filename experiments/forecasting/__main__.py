"""The command line of the experiment."""

from experiments import command_line, forecasting
from experiments.settings import Settings

__doc__ = forecasting.__doc__  # what --help opens with

command_line.launch(forecasting.Config, forecasting.QUICK, forecasting.run, "runs/forecasting", settings_class=Settings)
