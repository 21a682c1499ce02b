"""Command line of the experiment."""

from experiments import tagging
from experiments.common import command_line
from experiments.common.settings import ModelSettings

command_line.main(tagging, ModelSettings)
