"""Command line of the experiment."""

from experiments import question_answering
from experiments.common import command_line

command_line.main(question_answering)
