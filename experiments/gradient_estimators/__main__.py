"""Command line of the experiment."""

from experiments import gradient_estimators
from experiments.common import command_line

command_line.main(gradient_estimators)
