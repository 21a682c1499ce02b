"""Command line of the experiment."""

from experiments import char_lm
from experiments.common import command_line
from experiments.common.settings import ModelSettings

command_line.main(char_lm, ModelSettings)
