"""What makes a series stationary before a model sees it: a scale, differences, standardisation; and back again."""

import dataclasses
import math
from typing import Any

import numpy as np

from rnn_jax import checks


@dataclasses.dataclass(frozen=True)
class Level:
    """u = x."""

    name = ""

    def forward(self, values: np.ndarray) -> np.ndarray:
        return values

    def inverse(self, values: np.ndarray) -> np.ndarray:
        return values

    def accepts(self, values: np.ndarray) -> bool:
        """Whether every value can be scaled."""
        del values
        return True


@dataclasses.dataclass(frozen=True)
class Log:
    """u = log x, for what grows by percents."""

    name = "log"

    def forward(self, values: np.ndarray) -> np.ndarray:
        return np.log(values)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        return np.exp(values)

    def accepts(self, values: np.ndarray) -> bool:
        return bool(np.all(values > 0))


@dataclasses.dataclass(frozen=True)
class Root:
    """u = sqrt x, for counts, whose variance grows with their mean; back is max(u, 0)^2."""

    name = "root"

    def forward(self, values: np.ndarray) -> np.ndarray:
        return np.sqrt(values)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        return np.maximum(values, 0) ** 2

    def accepts(self, values: np.ndarray) -> bool:
        return bool(np.all(values >= 0))


Scale = Level | Log | Root


@dataclasses.dataclass(frozen=True)
class Transform:
    """z_t = (w_t - mean) / deviation,   w = (1 - B^l1) (1 - B^l2) ... u,   u = scale(x),   B x_t = x_{t-1}.

    The first sum(lags) values of a series have no z. Back from z to x the differences are summed up, which is linear:

        u_{t+h} = base_h(x_1 .. x_t) + deviation sum_k c_k z_{t+h-k},     k from 0 to h - 1
        sum_k c_k B^k = 1 / ((1 - B^l1) (1 - B^l2) ...)

    Args:
      scale: before the differences.
      lags: of the differences; () means none, (1, 12) those of Box and Jenkins' airline model.
      mean: of w.
      deviation: of w, standard.

    Raises:
      ValueError: where a lag is not a positive integer, or the deviation not a positive number.
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
        """Values at the beginning of a series that have no z."""
        return sum(self.lags)

    @property
    def name(self) -> str:
        """As in "log, differences of 1 and 12"."""
        found = [self.scale.name] if self.scale.name else []
        if self.lags:
            found.append(f"difference{'s' * (len(self.lags) > 1)} of {' and '.join(map(str, self.lags))}")
        return ", ".join(found) or "level"

    def fitted(self, values: np.ndarray) -> "Transform":
        """The same with the mean and deviation of these values, [N]: a training part.

        Raises:
          ValueError: where they cannot be scaled, are too few, or have no differences that vary.
        """
        if not self.scale.accepts(values):
            raise ValueError(f"Transform: {self.name} cannot take a value of {np.min(values):g}")
        if len(values) < self.lost + 2:
            raise ValueError(f"Transform: {self.name} needs at least {self.lost + 2} values, got {len(values)}")
        w = self._differences(self.scale.forward(np.asarray(values, float)))
        deviation = float(np.std(w))
        if not deviation > 1e-12 * max(1.0, float(np.max(np.abs(w)))) or not math.isfinite(deviation):
            raise ValueError(f"Transform: {self.name} leaves nothing that varies, standard deviation {deviation:g}")
        return dataclasses.replace(self, mean=float(np.mean(w)), deviation=deviation)

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Z [N - lost, ...] of values [N, ...]."""
        return (self._differences(self.scale.forward(np.asarray(values, float))) - self.mean) / self.deviation

    def base(self, history: np.ndarray, horizon: int) -> np.ndarray:
        """U [horizon, ...] after history [N, ...], N at least `lost`, where every z to come is 0."""
        past = [*self.scale.forward(np.asarray(history, float)[len(history) - self.lost :])]
        mean = np.full(np.shape(history)[1:], self.mean)
        for _ in range(horizon):
            past.append(mean - sum(c * past[-k] for k, c in self._polynomial if k))
        return np.stack(past[self.lost :])

    def accumulate(self, z: np.ndarray) -> np.ndarray:
        """sum_k c_k z_{h-k}: what z [horizon, ...] to come add to the base, in deviations."""
        found: list[Any] = []
        for h, each in enumerate(np.asarray(z, float)):
            found.append(each - sum(c * found[h - k] for k, c in self._polynomial if 0 < k <= h))
        return np.stack(found)

    def inverse(self, accumulated: np.ndarray, base: np.ndarray) -> np.ndarray:
        """X of what `accumulate` gave; shapes as NumPy broadcasts them."""
        return self.scale.inverse(base + self.deviation * np.asarray(accumulated, float))

    @property
    def _polynomial(self) -> list[tuple[int, float]]:
        """Lag and coefficient of the terms of (1 - B^l1) (1 - B^l2) ..."""
        found = np.ones(1)
        for lag in self.lags:
            found = np.convolve(found, np.array([1.0, *[0.0] * (lag - 1), -1.0]))
        return [(k, float(c)) for k, c in enumerate(found) if c]

    def _differences(self, u: np.ndarray) -> np.ndarray:
        for lag in self.lags:
            u = u[lag:] - u[:-lag]
        return u
