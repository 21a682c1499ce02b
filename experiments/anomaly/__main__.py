"""The command line of the experiment."""

from experiments import anomaly, command_line
from experiments.settings import Settings

__doc__ = anomaly.__doc__  # what --help opens with

command_line.launch(anomaly.Config, anomaly.QUICK, anomaly.run, "runs/anomaly", settings_class=Settings)
