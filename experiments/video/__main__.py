"""The command line of the experiment."""

from experiments import video
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = video.__doc__  # what --help opens with

command_line.launch(video.Config, video.QUICK, video.run, "runs/video", settings_class=Settings)
