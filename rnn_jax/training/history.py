"""Metrics of a training on the host, and what they show about a seed that diverged."""

from collections.abc import Sequence

import jax
import numpy as np

from rnn_jax import trees
from rnn_jax.seeds import fetch
from rnn_jax.training.step import StepMetrics


def join(chunks: Sequence[StepMetrics]) -> StepMetrics:
    """Joins the metrics of consecutive chunks of steps into one, with NumPy arrays [seeds, steps]."""
    return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *fetch(chunks))


def divergence(history: StepMetrics, seed: int) -> str | None:
    """Describes how a seed diverged: the step, counted from 1, loss, gradient norm and the parameters concerned.

    Args:
      history: metrics, NumPy arrays [seeds, steps].
      seed: index of the seed.

    Returns:
      A sentence; None if the seed's loss and gradient are finite at the last step.
    """
    losses, norms = history.loss[seed], history.grad_norm[seed]
    bad = ~(np.isfinite(losses) & np.isfinite(norms))
    if not bad[-1]:  # never diverged, or rolled back
        return None
    step = int(np.max(np.flatnonzero(~bad), initial=-1)) + 1
    before = f"{norms[step - 1]:.3g}" if step else "not measured yet"
    start = f"seed {seed} diverged at step {step + 1}: loss {losses[step]:.3g}, gradient"
    names = [name for name, each in history.grad_norms.items() if not np.isfinite(each[seed, step])]
    if not names and np.isfinite(losses[step]) and np.isnan(norms[step]):
        return f"{start} finite, but not the updated parameters or optimizer state; the step before {before}"
    return (
        f"{start} norm {norms[step]:.3g}, the step before {before}; "
        f"gradient not finite in {trees.listed(names) or 'no parameter alone'}"
    )
