"""The command line of the experiment."""

from experiments import tagging
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = tagging.__doc__  # what --help opens with

command_line.launch(tagging.Config, tagging.QUICK, tagging.run, "runs/tagging", settings_class=Settings)
