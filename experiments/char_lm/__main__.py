"""The command line of the experiment."""

from experiments import char_lm
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = char_lm.__doc__  # what --help opens with

command_line.launch(char_lm.Config, char_lm.QUICK, char_lm.run, "runs/char_lm", settings_class=Settings)
