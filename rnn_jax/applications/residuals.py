"""Residuals of forecasters, and how improbable they are."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from rnn_jax.models import Forecaster
from rnn_jax.seeds import over_seeds, place

LARGEST = 1e30  # standard deviations


def standardised_residuals(model: Forecaster, params: Any, z: np.ndarray) -> np.ndarray:
    """Returns residuals in standard deviations [1 + seeds, N - 1, B]: of the ensemble, then of each seed.

    The ensemble's distribution is the mean of the seeds'.

    Args:
      model: network of one step ahead.
      params: parameters [seeds, ...].
      z: transformed series, and what else the model reads, [N, B, features]; read from the first step on.
    """
    inputs = jnp.asarray(z, jnp.result_type(float))
    residuals = np.asarray(_residuals(model, place(params), inputs), float)
    # Those of a diverged network overflow: they are as improbable as can be.
    residuals = np.nan_to_num(residuals, nan=LARGEST, posinf=LARGEST, neginf=-LARGEST)
    # In logarithms of both tails, as 1 minus a probability loses all digits of a small one.
    below, above = (
        np.logaddexp.reduce(special.log_ndtr(side * residuals), axis=0) - np.log(len(residuals)) for side in (1, -1)
    )
    ensemble = np.where(below < above, special.ndtri_exp(below), -special.ndtri_exp(above))
    return np.concatenate([ensemble[None], residuals])


@functools.partial(jax.jit, static_argnames="model")
def _residuals(model: Forecaster, params: Any, z: jax.Array) -> jax.Array:
    one = jnp.asarray(special.ndtr(1.0), z.dtype)  # level of the quantile one standard deviation above the mean

    def seed_residuals(params: Any, z: jax.Array) -> jax.Array:
        outputs = model.apply(params, z[:-1], key=None)[1][..., 0, 0, :]
        center = model.head.center(outputs)
        return (z[1:, :, 0] - center) / (model.head.quantile(outputs, one) - center)

    return over_seeds(seed_residuals, params, z)


def surprise(residuals: np.ndarray, width: int) -> np.ndarray:
    """Returns -log p, in nats, of residuals [N, ...] that should be independent draws of N(0, 1); the greater of two.

    A residual may be too large: p = P(|e| > |e_t|). The last `width` jointly may be too large or too small, as those of
    a stuck sensor in a noisy series: p = 2 min(P(X < s), P(X > s)), with s their sum of squares and X chi-squared. A
    width of 1 leaves the former only.
    """
    single = -(special.log_ndtr(-np.abs(residuals)) + np.log(2))
    if width == 1:
        return single
    sums = np.cumsum(np.concatenate([np.zeros((1, *residuals.shape[1:])), residuals**2]), axis=0)
    stops = np.arange(1, len(residuals) + 1)
    last = np.maximum(sums[stops] - sums[np.maximum(stops - width, 0)], 0)
    tail = np.minimum(special.chdtr(width, last), special.chdtrc(width, last))
    # If the tail underflows, the single residual's surprise is large, too.
    return np.maximum(single, -np.log(np.clip(2 * tail, 1e-300, 1)))
