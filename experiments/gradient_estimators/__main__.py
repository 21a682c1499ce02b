"""The command line of the experiment."""

from experiments import gradient_estimators
from experiments.common import command_line

__doc__ = gradient_estimators.__doc__  # what --help opens with

command_line.launch(
    gradient_estimators.Config, gradient_estimators.QUICK, gradient_estimators.run, "runs/gradient_estimators"
)
