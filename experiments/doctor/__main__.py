"""Command line of the doctor."""

from experiments import doctor
from experiments.common import command_line

__doc__ = doctor.__doc__  # first lines of --help

command_line.launch(
    doctor.Config,
    None,
    doctor.run,
    "runs/gradient_norms",
    "Folder of a finished run, in which doctor.json is written.",
)
