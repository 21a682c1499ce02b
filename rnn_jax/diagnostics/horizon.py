"""The effective horizon: one number for how far back a gradient reaches."""

from typing import Any

import numpy as np

from rnn_jax import checks


def effective_horizon(norms: Any, threshold: float = 0.01) -> np.ndarray:
    """Returns the largest lag up to which the gradient's norm stays above a share of its value at lag 0.

        horizon = max {k : norm_j >= threshold * norm_ref for all j from ref to k}

    ref is lag 0; if the norm there is zero (a component that the output does not read, as an LSTM's c), ref is the
    smallest lag with a nonzero norm. The first crossing counts, even if the norm rises again later, as it may with a
    loss at every step. Unknown lags (NaN) end the count, as does the last lag: a horizon equal to the last known lag is
    a lower bound.

    >>> effective_horizon([1.0, 0.5, 0.02, 0.009, 0.5])
    array(2.)

    Args:
      norms: gradient norms [..., lags], from `gradient_reach`.
      threshold: share of the norm at lag 0, below 1.

    Returns:
      Steps [...], whole numbers in float64: 0 if all known norms are zero, NaN if the norm at lag 0 is not finite.

    Raises:
      ValueError: if `norms` has no lags, or `threshold` is not between 0 and 1.
    """
    checks.positive(threshold, "effective_horizon: threshold")
    checks.rate(threshold, "effective_horizon: threshold")
    norms = np.asarray(norms, np.float64)
    if not norms.ndim or not norms.shape[-1]:
        raise ValueError(f"effective_horizon: norms must be [..., lags], got shape {norms.shape}")
    known = np.logical_and.accumulate(~np.isnan(norms), axis=-1)
    nonzero = known & (norms != 0)
    reference = np.argmax(nonzero, axis=-1)[..., None]
    above = norms >= threshold * np.take_along_axis(norms, reference, axis=-1)  # False for NaN
    above |= np.arange(norms.shape[-1]) < reference
    steps = np.sum(np.logical_and.accumulate(above, axis=-1), axis=-1) - 1.0
    steps = np.where(np.any(nonzero, axis=-1), steps, 0)
    return np.where(np.isfinite(norms[..., 0]), steps, np.nan)
