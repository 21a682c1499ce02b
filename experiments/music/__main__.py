"""The command line of the experiment."""

from experiments import music
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = music.__doc__  # what --help opens with

command_line.launch(music.Config, music.QUICK, music.run, "runs/music", settings_class=Settings)
