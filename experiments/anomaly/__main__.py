"""Command line of the experiment."""

from experiments import anomaly
from experiments.common import command_line

command_line.main(anomaly)
