"""Command line of the experiment."""

from experiments import speech
from experiments.common import command_line

command_line.main(speech)
