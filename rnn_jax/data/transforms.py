"""Invertible transforms that make a series stationary: a scale, differences, standardisation."""

import dataclasses
import math
from typing import Any

import numpy as np

from rnn_jax import checks
from rnn_jax.static import Static


@dataclasses.dataclass(frozen=True)
class Level(Static):
    """The scale u = x."""

    name = ""

    def forward(self, values: np.ndarray) -> np.ndarray:
        return values

    def inverse(self, values: np.ndarray) -> np.ndarray:
        return values

    def accepts(self, values: np.ndarray) -> bool:
        """Returns whether every value can be scaled."""
        del values
        return True


@dataclasses.dataclass(frozen=True)
class Log(Static):
    """The scale u = log x, for exponential growth."""

    name = "log"

    def forward(self, values: np.ndarray) -> np.ndarray:
        return np.log(values)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        return np.exp(values)

    def accepts(self, values: np.ndarray) -> bool:
        return bool(np.all(values > 0))


@dataclasses.dataclass(frozen=True)
class Root(Static):
    """The scale u = sqrt x, for counts, whose variance grows with their mean; its inverse is max(u, 0)^2."""

    name = "root"

    def forward(self, values: np.ndarray) -> np.ndarray:
        return np.sqrt(values)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        return np.maximum(values, 0) ** 2

    def accepts(self, values: np.ndarray) -> bool:
        return bool(np.all(values >= 0))


Scale = Level | Log | Root


@dataclasses.dataclass(frozen=True)
class Transform(Static):
    """Scales, differences and standardises a series x, with the backshift operator B x_t = x_{t-1}.

        u = scale(x),     w = (1 - B^l1) (1 - B^l2) ... u,     z_t = (w_t - mean) / deviation

    The first sum(lags) values of a series have no z. The inverse sums up the differences, which is linear in z:

        u_{t+h} = base_h(x_1 .. x_t) + deviation sum_k c_k z_{t+h-k},     k from 0 to h - 1
        sum_k c_k B^k = 1 / ((1 - B^l1) (1 - B^l2) ...)

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> x = np.exp(np.cumsum([0.0, 0.1, 0.2, 0.1, 0.3, 0.1]))
    >>> transform = data.Transform(data.Log(), lags=(1,)).fitted(x)
    >>> transform.name, transform.forward(x).round(2).tolist()
    ('log, difference of 1', [-0.75, 0.5, -0.75, 1.75, -0.75])
    >>> future = transform.accumulate(transform.forward(x)[-2:])  # z of the last two steps, given the four before
    >>> np.allclose(transform.inverse(future, transform.base(x[:4], horizon=2)), x[4:])
    True

    Args:
      scale: scale applied before the differences.
      lags: lags of the differences; () means none, (1, 12) are those of Box and Jenkins' airline model.
      mean: mean of w.
      deviation: standard deviation of w.

    Raises:
      ValueError: if a lag is not a positive integer, or the deviation is not a positive number.
    """

    scale: Scale = Level()
    lags: tuple[int, ...] = ()
    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        for lag in self.lags:
            checks.integer_at_least(1, lag, "Transform: a lag")
        checks.positive(self.deviation, "Transform: deviation")

    @property
    def lost(self) -> int:
        """Number of values at the start of a series that have no z."""
        return sum(self.lags)

    @property
    def name(self) -> str:
        """Name in plain English, such as "log, differences of 1 and 12"."""
        words = [self.scale.name] if self.scale.name else []
        if self.lags:
            words.append(f"difference{'s' * (len(self.lags) > 1)} of {' and '.join(map(str, self.lags))}")
        return ", ".join(words) or "level"

    def fitted(self, values: np.ndarray) -> "Transform":
        """Returns a copy with the mean and deviation of a training set.

        Args:
          values: values of the training set [N].

        Raises:
          ValueError: if the values cannot be scaled, are too few, or have constant differences.
        """
        if not self.scale.accepts(values):
            raise ValueError(f"Transform: {self.name} does not accept a value of {np.min(values):g}")
        if len(values) < self.lost + 2:
            raise ValueError(f"Transform: {self.name} needs at least {self.lost + 2} values, got {len(values)}")
        w = self._differences(self.scale.forward(np.asarray(values, float)))
        deviation = float(np.std(w))
        if not deviation > 1e-12 * max(1.0, float(np.max(np.abs(w)))) or not math.isfinite(deviation):
            raise ValueError(f"Transform: {self.name} gives a constant series, standard deviation {deviation:g}")
        return dataclasses.replace(self, mean=float(np.mean(w)), deviation=deviation)

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Returns z [N - lost, ...] of values x [N, ...]."""
        return (self._differences(self.scale.forward(np.asarray(values, float))) - self.mean) / self.deviation

    def base(self, history: np.ndarray, horizon: int) -> np.ndarray:
        """Returns the future u [horizon, ...] if every future z is 0.

        Args:
          history: past values x [N, ...], N at least `lost`.
          horizon: number of future steps.
        """
        past = [*self.scale.forward(np.asarray(history, float)[len(history) - self.lost :])]
        mean = np.full(np.shape(history)[1:], self.mean)
        for _ in range(horizon):
            past.append(mean - sum(c * past[-k] for k, c in self._polynomial if k))
        return np.stack(past[self.lost :])

    def accumulate(self, z: np.ndarray) -> np.ndarray:
        """Returns sum_k c_k z_{h-k}: the sum of future z [horizon, ...] to add to the base, in deviations."""
        sums: list[Any] = []
        for h, z_h in enumerate(np.asarray(z, float)):
            sums.append(z_h - sum(c * sums[h - k] for k, c in self._polynomial if 0 < k <= h))
        return np.stack(sums)

    def inverse(self, accumulated: np.ndarray, base: np.ndarray) -> np.ndarray:
        """Returns x from the results of `accumulate` and `base`, which are broadcast against each other."""
        return self.scale.inverse(base + self.deviation * np.asarray(accumulated, float))

    @property
    def _polynomial(self) -> list[tuple[int, float]]:
        """Lag and coefficient of each term of (1 - B^l1) (1 - B^l2) ..."""
        coefficients = np.ones(1)
        for lag in self.lags:
            coefficients = np.convolve(coefficients, np.array([1.0, *[0.0] * (lag - 1), -1.0]))
        return [(k, float(c)) for k, c in enumerate(coefficients) if c]

    def _differences(self, u: np.ndarray) -> np.ndarray:
        for lag in self.lags:
            u = u[lag:] - u[:-lag]
        return u
