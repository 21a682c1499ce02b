"""Command line of the experiment."""

from experiments import forecasting
from experiments.common import command_line

command_line.main(forecasting)
