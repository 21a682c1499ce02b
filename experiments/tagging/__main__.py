"""Command line of the experiment."""

from experiments import tagging
from experiments.common import command_line

command_line.main(tagging)
