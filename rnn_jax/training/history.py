"""The metrics of a training on the host, and what they say of a seed that was lost."""

from collections.abc import Sequence

import jax
import numpy as np

from rnn_jax.seeds import fetch
from rnn_jax.training.step import StepMetrics


def join(pieces: Sequence[StepMetrics]) -> StepMetrics:
    """The metrics of consecutive calls of `run` as one, of NumPy arrays [seeds, steps]."""
    return jax.tree.map(lambda *parts: np.concatenate(parts, axis=1), *fetch(pieces))


def divergence(history: StepMetrics, seed: int) -> str | None:
    """Says at which step, counted from 1, a seed's loss or gradient was not finite, in which parameters, and before.

    Args:
      history: of NumPy arrays [seeds, steps].
      seed: which.

    Returns:
      The sentence; None of a seed that is finite at the end.
    """
    losses, norms = history.loss[seed], history.grad_norm[seed]
    bad = ~(np.isfinite(losses) & np.isfinite(norms))
    if not bad[-1]:  # one that came back, or was never lost
        return None
    step = int(np.max(np.flatnonzero(~bad), initial=-1)) + 1
    before = f"{norms[step - 1]:.3g}" if step else "not measured yet"
    where = [name for name, each in history.grad_norms.items() if not np.isfinite(each[seed, step])]
    return (
        f"seed {seed} diverged at step {step + 1}: loss {losses[step]:.3g}, gradient norm {norms[step]:.3g}, "
        f"the step before {before}; gradient not finite in {', '.join(where) or 'no parameter alone'}"
    )
