"""Command line of the experiment."""

from experiments import music
from experiments.common import command_line

command_line.main(music)
