"""The command line of the experiment."""

from experiments import command_line, teaching

__doc__ = teaching.__doc__  # what --help opens with

command_line.launch(teaching.Config, teaching.QUICK, teaching.run, "runs/teaching")
