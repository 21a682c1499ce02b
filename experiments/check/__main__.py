"""Command line of the check."""

import logging
import sys

from absl import app, flags

from experiments import check
from experiments.common import command_line
from experiments.common.flags import ComputeConfig, UserError, help_text
from experiments.common.precision import PRODUCTS

PRECISION = flags.DEFINE_enum("matmul_precision", "highest", [*PRODUCTS], help_text(ComputeConfig, "matmul_precision"))
__doc__ = check.__doc__  # first lines of --help


def main(argv: list[str]) -> int:
    """Checks the one object that is named."""
    if len(argv) != 2:
        raise app.UsageError("expected one object, as in: python -m experiments.check my_module:MyCell")
    logging.getLogger("jax").setLevel(logging.WARNING)  # it lists every accelerator it did not find
    try:
        return 0 if check.run(argv[1], PRECISION.value) else 1
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


app.run(main, flags_parser=command_line.parse)
