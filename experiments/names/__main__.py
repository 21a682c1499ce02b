"""Command line of the experiment."""

from experiments import names
from experiments.common import command_line

command_line.main(names)
