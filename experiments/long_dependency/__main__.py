"""The command line of the experiment."""

from experiments import command_line, long_dependency

__doc__ = long_dependency.__doc__  # what --help opens with

command_line.launch(long_dependency.Config, long_dependency.QUICK, long_dependency.run, "runs/long_dependency")
