"""The command line of the experiment."""

from experiments import dynamics
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = dynamics.__doc__  # what --help opens with

command_line.launch(dynamics.Config, dynamics.QUICK, dynamics.run, "runs/dynamics", settings_class=Settings)
