"""The command line of the experiment."""

from experiments import command_line, names
from experiments.settings import Settings

__doc__ = names.__doc__  # what --help opens with

command_line.launch(names.Config, names.QUICK, names.run, "runs/names", settings_class=Settings)
