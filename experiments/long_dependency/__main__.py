"""The command line of the experiment."""

from experiments import long_dependency
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = long_dependency.__doc__  # what --help opens with

command_line.launch(
    long_dependency.Config, long_dependency.QUICK, long_dependency.run, "runs/long_dependency", settings_class=Settings
)
