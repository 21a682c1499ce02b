"""Command line of the experiment."""

from experiments import exploding
from experiments.common import command_line

command_line.main(exploding)
