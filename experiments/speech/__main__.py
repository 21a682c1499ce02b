"""The command line of the experiment."""

from experiments import speech
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = speech.__doc__  # what --help opens with

command_line.launch(speech.Config, speech.QUICK, speech.run, "runs/speech", settings_class=Settings)
