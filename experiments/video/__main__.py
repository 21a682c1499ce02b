"""Command line of the experiment."""

from experiments import video
from experiments.common import command_line

command_line.main(video)
