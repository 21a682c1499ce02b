"""Command line of the experiment."""

from experiments import gradient_norms
from experiments.common import command_line

command_line.main(gradient_norms)
