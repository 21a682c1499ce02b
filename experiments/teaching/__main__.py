"""The command line of the experiment."""

from experiments import teaching
from experiments.common import command_line

__doc__ = teaching.__doc__  # what --help opens with

command_line.launch(teaching.Config, teaching.QUICK, teaching.run, "runs/teaching")
