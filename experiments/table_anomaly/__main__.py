"""Command line of the experiment."""

from experiments import table_anomaly
from experiments.common import command_line
from experiments.common.settings import ModelSettings

command_line.main(table_anomaly, ModelSettings)
