"""Command line of the experiment."""

from experiments import captioning
from experiments.common import command_line

command_line.main(captioning)
