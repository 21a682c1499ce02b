"""The command line of the experiment."""

from experiments import command_line, speech
from experiments.settings import Settings

__doc__ = speech.__doc__  # what --help opens with

command_line.launch(speech.Config, speech.QUICK, speech.run, "runs/speech", settings_class=Settings)
