"""Whether one model is better than another on a test set: a paired difference with its 95 % interval.

Each interval stands alone: of twenty comparisons of equal models one is expected not to be a tie.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rnn_jax import checks

LEVEL = 0.95
LEAST_ITEMS = 5  # fewer tell nothing about the spread between them


class Difference(NamedTuple):
    """Score of a model less that of another one, and the 95 % interval of this difference."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return self.text(".1f")

    def text(self, form: str) -> str:
        """Returns the difference and its interval in a number format, as in `+0.9 (-0.5 to 2.3)`."""
        return f"{self.value:+{form}} ({self.low:{form}} to {self.high:{form}})"

    def verdict(self, lower_is_better: bool = False) -> str:
        """Returns `better`, `worse`, `a tie` if the interval holds 0, or `unknown` if it has no bounds."""
        if not np.isfinite(self).all():
            return "unknown"
        if self.low <= 0 <= self.high:
            return "a tie"
        return "better" if (self.value < 0) == lower_is_better else "worse"

    def scaled(self, factor: float) -> "Difference":
        """Returns the difference in another unit, such as percent."""
        return Difference(*(factor * number for number in self))


class Scored(NamedTuple):
    """Score of a model on any choice of test items.

    Args:
      score: function from indices of items, with repetitions, to the score of each seed.
      items: number of items; predictions that depend on each other, as those of a sentence's words do, are one item.
    """

    score: Callable[[np.ndarray], np.ndarray]
    items: int

    @property
    def values(self) -> np.ndarray:
        """Score of each seed on all items."""
        return self.score(np.arange(self.items))


def means(values: np.ndarray, groups: np.ndarray | None = None) -> Scored:
    """Returns the mean of values [seeds, N], such as whether each prediction is correct, as a score of items.

    Args:
      values: value of each prediction.
      groups: number of the item that each prediction belongs to [N], from 0 and without gaps; None: each is an item.

    Raises:
      ValueError: if values have another number of dimensions.
    """
    if np.ndim(values) != 2:
        raise ValueError(
            f"means: values must be [seeds, N], got shape {np.shape(values)}; give one seed as values[None]"
        )
    if groups is None:
        return Scored(lambda items: np.mean(values[:, items], axis=1), values.shape[1])
    return ratios(np.array([np.bincount(groups, each) for each in values]), np.bincount(groups))


def ratios(sums: np.ndarray, counts: np.ndarray) -> Scored:
    """Returns the mean over the parts of all items, such as the loss per step of pieces, as a score of items.

    Args:
      sums: sum of the values of each item's parts [seeds, items].
      counts: number of parts of each item [items].
    """
    return Scored(lambda items: sums[:, items].sum(axis=1) / counts[items].sum(), len(counts))


def bootstrap(first: Scored, second: Scored, samples: int = 2000) -> Difference:
    """Returns the difference of two mean scores over seeds, with the spread of test items and of seeds.

    Test items are resampled, the same for both models, so that items that are hard for both cancel (paired bootstrap,
    Efron & Tibshirani 1993). To each sample a model with S > 1 seeds adds s / √S times a number drawn from Student's t
    with S - 1 degrees of freedom, s being the standard deviation over its seeds. Three seeds are few, so their part of
    the interval is wide: 4.3 standard errors. A model with one seed stands for that seed only. The interval is that of
    percentiles, and the same in each call; with fewer than 5 items it is unbounded.

    >>> first, second = np.array([[True] * 80 + [False] * 20]), np.array([[True] * 70 + [False] * 30])  # [seeds, items]
    >>> difference = bootstrap(means(first), means(second)).scaled(100)
    >>> print(difference, difference.verdict())
    +10.0 (5.0 to 16.0) better

    Args:
      first: scores of a model.
      second: scores of another model on the same items.
      samples: number of samples.

    Raises:
      ValueError: if there is no item or sample, or the models are scored on different numbers of items.
    """
    checks.integer_at_least(1, samples, "bootstrap: samples")
    if not first.items == second.items > 0:
        raise ValueError(
            f"both models must be scored on the same items, at least 1, got {first.items} and {second.items}; give "
            "both the whole test set"
        )
    value = float(np.mean(first.values) - np.mean(second.values))
    if first.items < LEAST_ITEMS:
        return Difference(value, -np.inf, np.inf)
    generator = np.random.default_rng(0)
    draws = (generator.integers(first.items, size=first.items) for _ in range(samples))
    resampled = np.array([np.mean(first.score(items)) - np.mean(second.score(items)) for items in draws])
    for values in (first.values, second.values):
        if (seeds := len(values)) > 1:
            resampled += generator.standard_t(seeds - 1, samples) * np.std(values, ddof=1) / np.sqrt(seeds)
    tail = 50 * (1 - LEVEL)
    return Difference(value, *map(float, np.percentile(resampled, [tail, 100 - tail])))


def paired(first: np.ndarray, second: np.ndarray) -> Difference:
    """Returns the mean of paired differences, as over seeds, with Student's interval; unbounded for a single one.

    >>> print(paired(np.array([3.0, 4.0, 3.5]), np.array([1.0, 1.5, 1.0])))
    +2.3 (1.6 to 3.1)

    Args:
      first: scores of a model [N], independent of each other.
      second: scores of another model [N], each beside one of the first.

    Raises:
      ValueError: if the scores have different shapes or not one dimension.
    """
    return diebold_mariano(first, second, 1)


def diebold_mariano(first: np.ndarray, second: np.ndarray, horizon: int) -> Difference:
    """Returns the difference of two mean losses of forecasts (Diebold & Mariano 1995; Harvey et al. 1997).

        d_t = first_t - second_t,    D = mean of d,    g_k = 1/n sum_t (d_t - D) (d_{t-k} - D)
        V = (g_0 + 2 sum_{k=1}^{h-1} g_k) / n
        c² = (n + 1 - 2h + h (h - 1) / n) / n
        interval: D ± q √V / c, q the quantile of Student's t with n - 1 degrees of freedom

    Errors of forecasts h steps ahead overlap for h - 1 steps, so the losses of neighbouring origins are correlated, and
    a test that takes them as independent is too sure. Should V not be positive, autocovariances are weighted by
    1 - k/h (Bartlett), with which it is. With no more than h origins, or an infinite loss, the interval is unbounded.

    Args:
      first: loss at each origin [T], in order of time, such as the absolute error; NaN if there is none.
      second: likewise, of the other model.
      horizon: steps ahead h.

    Raises:
      ValueError: if the losses have different shapes or not one dimension, or the horizon is not a positive integer.
    """
    from scipy import stats

    checks.integer_at_least(1, horizon, "diebold_mariano: horizon")
    if np.ndim(first) != 1 or np.shape(first) != np.shape(second):
        raise ValueError(
            f"diebold_mariano: losses must be [T] of the same T, got shapes {np.shape(first)} and {np.shape(second)}"
        )
    with np.errstate(invalid="ignore"):  # infinity less infinity
        difference, known = first - second, ~(np.isnan(first) | np.isnan(second))
        n = int(known.sum())
        mean = float(difference[known].mean()) if n else np.nan
    if n <= horizon or not np.isfinite(mean):
        return Difference(mean, -np.inf, np.inf)
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    centred = np.where(known, difference - mean, 0)
    covariances = np.array([centred[k:] @ centred[: len(centred) - k] for k in range(horizon)]) / n
    factors = np.where(np.arange(horizon) > 0, 2.0, 1.0)
    variance = factors @ covariances
    if variance <= 0:
        variance = factors * (1 - np.arange(horizon) / horizon) @ covariances
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1) * np.sqrt(np.maximum(variance, 0) / n / correction))
    return Difference(mean, mean - half, mean + half)
