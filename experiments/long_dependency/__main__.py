"""Command line of the experiment."""

from experiments import long_dependency
from experiments.common import command_line

command_line.main(long_dependency)
