"""Command line of the experiment."""

from experiments import newton
from experiments.common import command_line

command_line.main(newton)
