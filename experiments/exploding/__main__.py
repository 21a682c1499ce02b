"""The command line of the experiment."""

from experiments import command_line, exploding
from experiments.settings import Settings

__doc__ = exploding.__doc__  # what --help opens with

command_line.launch(exploding.Config, exploding.QUICK, exploding.run, "runs/exploding", settings_class=Settings)
