"""Command line of the experiment."""

from experiments import char_lm
from experiments.common import command_line

command_line.main(char_lm)
