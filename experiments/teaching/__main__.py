"""Command line of the experiment."""

from experiments import teaching
from experiments.common import command_line

command_line.main(teaching, settings_class=None)
