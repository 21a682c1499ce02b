"""Command line of the experiment."""

from experiments import series
from experiments.common import command_line

command_line.main(series)
