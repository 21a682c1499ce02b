"""Command line of the experiment."""

from experiments import throughput
from experiments.common import command_line

__doc__ = throughput.__doc__  # what --help opens with

command_line.launch(throughput.Config, throughput.QUICK, throughput.run, "runs/throughput")
