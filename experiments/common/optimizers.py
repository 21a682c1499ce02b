"""Optimizers by import path, for the flag `--optimizer`."""

from experiments.common import flags
from experiments.common.flags import UserError
from rnn_jax import import_path
from rnn_jax.training.optimizers import Optimizer

HELP = "Optimizer in place of Adam, as module:Name(option=value): rnn_jax.training:AdamW(learning_rate=0.001)."


def make(path: str) -> Optimizer:
    """Returns the optimizer that a class or function at an import path makes, given options only.

    Raises:
      UserError: if there is none, it cannot be made, or it is no optimizer of `rnn_jax.training`.
    """
    with flags.user_errors("--optimizer"):
        factory = import_path.load(path, "optimizer", "() -> optimizer of rnn_jax.training")
    try:
        optimizer = factory()
    except Exception as error:  # user code may raise anything
        raise UserError(f"--optimizer={path} cannot be made: {error}") from error
    if not hasattr(optimizer, "transformation"):  # one of optax itself has no name in a config
        raise UserError(f"--optimizer={path} must make an optimizer of rnn_jax.training, got {optimizer!r:.80}")
    return optimizer
