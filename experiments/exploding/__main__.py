"""The command line of the experiment."""

from experiments import exploding
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = exploding.__doc__  # what --help opens with

command_line.launch(exploding.Config, exploding.QUICK, exploding.run, "runs/exploding", settings_class=Settings)
