"""Command line of the experiment."""

from experiments import throughput
from experiments.common import command_line

command_line.main(throughput, settings_class=None)
