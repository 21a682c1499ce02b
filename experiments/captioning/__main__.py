"""The command line of the experiment."""

from experiments import captioning
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = captioning.__doc__  # what --help opens with

command_line.launch(captioning.Config, captioning.QUICK, captioning.run, "runs/captioning", settings_class=Settings)
