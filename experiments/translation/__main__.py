"""The command line of the experiment."""

from experiments import translation
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = translation.__doc__  # what --help opens with

command_line.launch(translation.Config, translation.QUICK, translation.run, "runs/translation", settings_class=Settings)
