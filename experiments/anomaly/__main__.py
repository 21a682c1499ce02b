"""The command line of the experiment."""

from experiments import anomaly
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = anomaly.__doc__  # what --help opens with

command_line.launch(anomaly.Config, anomaly.QUICK, anomaly.run, "runs/anomaly", settings_class=Settings)
