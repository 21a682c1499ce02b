"""Command line of the experiment."""

from experiments import dynamics
from experiments.common import command_line

command_line.main(dynamics)
