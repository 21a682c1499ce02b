"""What gives a score to every point, from the points up to it alone: the higher, the stranger."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special
from sklearn.ensemble import IsolationForest

from experiments.anomaly.injection import Copies
from experiments.forecasting.config import Data
from rnn_jax.data import windows
from rnn_jax.models import Forecaster
from rnn_jax.seeds import over_seeds, place

FOREST_WINDOW = 16  # points at the most


def z_score(data: Data, copies: Copies) -> np.ndarray:
    """|x - mean| / deviation, of the training part; [N, copies + 1]."""
    known = data.series.values[: data.parts.training]
    return np.abs(copies.values - known.mean()) / known.std()


def seasonal(data: Data, copies: Copies) -> np.ndarray:
    """|x_t - x_{t-m}|, m the season."""
    found = np.zeros_like(copies.values)
    found[data.season :] = np.abs(copies.values[data.season :] - copies.values[: -data.season])
    return found


def autoregression(data: Data, copies: Copies, width: int) -> np.ndarray:
    """`strangeness` of the residuals of the autoregression that is best on the clean validation part."""
    z = transformed(data, copies)
    return strangeness((z - data.autoregression.one_step(z)) / data.autoregression.deviation, width)


def isolation_forest(data: Data, copies: Copies, seed: int) -> np.ndarray:
    """Of the windows that end with each point, after Liu et al. 2008; on the same transformed series."""
    width, lost = min(FOREST_WINDOW, data.season), data.transform.lost
    forest = IsolationForest(random_state=seed).fit(windows(data.z[lost : data.parts.training], width).T)
    z, first = transformed(data, copies), copies.start
    part = windows(z[first - width + 1 : copies.stop], width)  # [width, points, copies + 1]
    found = np.zeros_like(z)
    found[first : copies.stop] = -forest.score_samples(part.reshape(width, -1).T).reshape(part.shape[1:])
    return found


def network(data: Data, model: Forecaster, params: Any, copies: Copies, width: int) -> list[np.ndarray]:
    """`strangeness` of the residuals of each seed of params [seeds, ...], and of all: of their mean distribution.

    The forecaster reads the part once, from a window before it on, and carries its state.
    """
    begin = max(data.transform.lost, copies.start - data.window)
    z = jnp.asarray(transformed(data, copies)[begin : copies.stop, :, None], jnp.result_type(float))
    residuals = np.asarray(_residuals(model, place(params), z), float)  # [seeds, steps, copies + 1]
    # In logarithms of both tails, as 1 minus a probability loses all digits of a small one.
    below, above = (
        np.logaddexp.reduce(special.log_ndtr(side * residuals), axis=0) - np.log(len(residuals)) for side in (1, -1)
    )
    together = np.where(below < above, special.ndtri_exp(below), -special.ndtri_exp(above))
    found = []
    for each in (*residuals, together):
        scores = np.zeros_like(copies.values)
        scores[begin + 1 : copies.stop] = each
        found.append(strangeness(scores, width))
    return found


@functools.partial(jax.jit, static_argnames="model")
def _residuals(model: Forecaster, params: Any, z: jax.Array) -> jax.Array:
    """In standard deviations."""
    one = jnp.asarray(special.ndtr(1.0), z.dtype)  # of a normal distribution: what lies below the mean and one of them

    def of_seed(params: Any, z: jax.Array) -> jax.Array:
        outputs = model.apply(params, z[:-1])[1][..., 0, 0, :]
        center = model.head.center(outputs)
        return (z[1:, :, 0] - center) / (model.head.quantile(outputs, one) - center)

    return over_seeds(of_seed, params, z)


def strangeness(residuals: np.ndarray, width: int) -> np.ndarray:
    """-log p in nats of residuals [N, ...] that should be independent draws of N(0, 1), the stranger of two ways.

    A residual may be too large: p = P(|e| > |e_t|). And the last `width` together too large or too small, as those of a
    sensor that is stuck are in a noisy series: p = 2 min(P(X < s), P(X > s)), s their sum of squares and X chi-squared.
    Where width is 1 there is the former alone.
    """
    alone = -(special.log_ndtr(-np.abs(residuals)) + np.log(2))
    if width == 1:
        return alone
    sums = np.cumsum(np.concatenate([np.zeros((1, *residuals.shape[1:])), residuals**2]), axis=0)
    stops = np.arange(1, len(residuals) + 1)
    last = np.maximum(sums[stops] - sums[np.maximum(stops - width, 0)], 0)
    tail = np.minimum(special.chdtr(width, last), special.chdtrc(width, last))
    # What is lost in underflow is large alone, too.
    return np.maximum(alone, -np.log(np.clip(2 * tail, 1e-300, 1)))


def transformed(data: Data, copies: Copies) -> np.ndarray:
    """Z [N, copies + 1] aligned to the series; what the scale cannot take, as a log of -1, is its least value."""
    least = np.min(data.series.values)
    values = copies.values if data.transform.scale.accepts(copies.values) else np.maximum(copies.values, least)
    return np.concatenate([np.zeros((data.transform.lost, values.shape[1])), data.transform.forward(values)])
