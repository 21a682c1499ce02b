"""The command line of the experiment."""

from experiments import names
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = names.__doc__  # what --help opens with

command_line.launch(names.Config, names.QUICK, names.run, "runs/names", settings_class=Settings)
