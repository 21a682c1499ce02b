"""Command line of the experiment."""

from experiments import sentiment
from experiments.common import command_line

command_line.main(sentiment)
