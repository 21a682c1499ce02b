"""Command line of the experiment."""

from experiments import translation
from experiments.common import command_line

command_line.main(translation)
