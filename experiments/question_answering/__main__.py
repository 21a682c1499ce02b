"""Command line of the experiment."""

from experiments import question_answering
from experiments.common import command_line
from experiments.common.settings import ModelSettings

command_line.main(question_answering, ModelSettings)
