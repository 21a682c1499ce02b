"""The command line of the experiment."""

from experiments import command_line, long_dependency
from experiments.settings import Settings

__doc__ = long_dependency.__doc__  # what --help opens with

command_line.launch(
    long_dependency.Config, long_dependency.QUICK, long_dependency.run, "runs/long_dependency", settings_class=Settings
)
