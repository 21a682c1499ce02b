"""The command line of the experiment."""

from experiments import gradient_norms
from experiments.common import command_line
from experiments.common.settings import Settings

__doc__ = gradient_norms.__doc__  # what --help opens with

command_line.launch(
    gradient_norms.Config, gradient_norms.QUICK, gradient_norms.run, "runs/gradient_norms", settings_class=Settings
)
