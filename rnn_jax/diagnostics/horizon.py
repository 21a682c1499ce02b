"""One number for how far back a gradient reaches."""

from typing import Any

import numpy as np

from rnn_jax import checks


def effective_horizon(norms: Any, threshold: float = 0.01) -> np.ndarray:
    """The largest lag up to which the gradient's norm has not fallen below a share of what it was at lag 0.

        horizon = max {k : norm_j >= threshold * norm_ref for all j from ref to k}

    ref is lag 0; or, where the norm there is zero (a component that the output does not read, as an LSTM's c), the
    smallest lag with another. The *first* fall counts: a gradient that comes back, as with a loss at every step, gets
    no credit for it. Lags that are not known (NaN) end the count, and so does the last one: a horizon equal to the
    last known lag is a lower bound.

    Args:
      norms: [..., lags], as `gradient_reach` gives them by lag.
      threshold: the share, below 1.

    Returns:
      Steps [...], whole numbers in float64. 0 where all known norms are zero; NaN where the norm at lag 0 is not
      finite, and a horizon would mean nothing.

    Raises:
      ValueError: where `norms` has no lags or `threshold` is not a number between 0 and 1.
    """
    checks.positive(threshold, "effective_horizon: threshold")
    checks.rate(threshold, "effective_horizon: threshold")
    norms = np.asarray(norms, np.float64)
    if not norms.ndim or not norms.shape[-1]:
        raise ValueError(f"effective_horizon: norms must be [..., lags], got shape {norms.shape}")
    known = np.logical_and.accumulate(~np.isnan(norms), axis=-1)
    some = known & (norms != 0)
    reference = np.argmax(some, axis=-1)[..., None]
    enough = norms >= threshold * np.take_along_axis(norms, reference, axis=-1)  # NaN is not
    enough |= np.arange(norms.shape[-1]) < reference
    steps = np.sum(np.logical_and.accumulate(enough, axis=-1), axis=-1) - 1.0
    steps = np.where(np.any(some, axis=-1), steps, 0)
    return np.where(np.isfinite(norms[..., 0]), steps, np.nan)
