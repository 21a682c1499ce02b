"""The command line of the experiment; see the package's docstring."""

from experiments import command_line, gradient_norms

command_line.launch(gradient_norms.Config, gradient_norms.QUICK, gradient_norms.run, "runs/gradient_norms")
