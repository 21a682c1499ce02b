"""Command line of the check."""

import logging
import sys

from absl import app

from experiments import check
from experiments.common.flags import UserError

__doc__ = check.__doc__  # first lines of --help


def main(argv: list[str]) -> int:
    """Checks the one object that is named."""
    if len(argv) != 2:
        raise app.UsageError("expected one object, as in: python -m experiments.check my_module:MyCell")
    logging.getLogger("jax").setLevel(logging.WARNING)  # it lists every accelerator it did not find
    try:
        return 0 if check.run(argv[1]) else 1
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


app.run(main)
