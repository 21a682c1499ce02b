"""What becomes of a seed that meets NaN or infinity, by name: for the flag `--not_finite`."""

from experiments.common.command_line import UserError
from rnn_jax import training

POLICIES: dict[str, training.Stop | training.Skip | training.RollBack] = {
    "stop": training.Stop(),
    "skip": training.Skip(),
    "rollback": training.RollBack(),
}
HELP = (
    "What becomes of a seed whose loss or gradient is NaN or infinite: stop (it stays at its last finite parameters), "
    "skip (the update is left out), rollback (back to where its loss was least, at half the learning rate)."
)


def find(name: str) -> training.Stop | training.Skip | training.RollBack:
    """The policy called `name`.

    Raises:
      UserError: where there is none.
    """
    if name not in POLICIES:
        raise UserError(f"--not_finite must be one of {', '.join(POLICIES)}, got {name!r}")
    return POLICIES[name]
