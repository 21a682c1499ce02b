"""The command line of the experiment."""

from experiments import sentiment
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = sentiment.__doc__  # what --help opens with

command_line.launch(sentiment.Config, sentiment.QUICK, sentiment.run, "runs/sentiment", settings_class=Settings)
