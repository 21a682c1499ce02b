"""What a network has to beat: the last value, the last season's, and a linear autoregression."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from experiments.forecasting.rolling import Origins, Predicted
from rnn_jax.data import Transform


def persistence(values: np.ndarray, origins: Origins) -> Predicted:
    """x_{t+h} = x_t."""
    return Predicted(np.broadcast_to(values[origins.places], origins.actual.shape))


def seasonal(values: np.ndarray, origins: Origins, season: int) -> Predicted:
    """x_{t+h} = x_{t+h-m}, m the season, the latest that is known."""
    steps = np.arange(1, len(origins.actual) + 1)[:, None]
    return Predicted(values[origins.places + steps - season * -(-steps // season)])


@dataclasses.dataclass(frozen=True, eq=False)
class Autoregression:
    """z_t = c + sum_k a_k z_{t-k} + e_t,   e_t ~ N(0, v), of a transformed series; by least squares."""

    transform: Transform
    weights: np.ndarray  # [order]; a_k at k - 1
    constant: float
    deviation: float  # sqrt(v), of the residuals

    @property
    def order(self) -> int:
        return len(self.weights)

    @classmethod
    def fit(cls, transform: Transform, z: np.ndarray, usable: np.ndarray, order: int) -> "Autoregression":
        """On z [N], where z_t and all that it is explained by are usable.

        Raises:
          ValueError: where fewer than twice as many points as coefficients are.
        """
        lagged = np.stack([z[order - k : len(z) - k] for k in range(1, order + 1)], axis=1)
        fine = np.all([usable[order - k : len(z) - k] for k in range(order + 1)], axis=0)
        if fine.sum() < 2 * (order + 1):
            raise ValueError(f"an autoregression of order {order} needs at least {2 * (order + 1)} points")
        design = np.column_stack([lagged, np.ones(len(lagged))])[fine]
        solution, *_ = np.linalg.lstsq(design, z[order:][fine], rcond=None)
        residuals = z[order:][fine] - design @ solution
        freedom = len(residuals) - order - 1
        return cls(transform, solution[:-1], float(solution[-1]), float(np.sqrt(np.sum(residuals**2) / freedom)))

    def one_step(self, z: np.ndarray) -> np.ndarray:
        """Means of z_t given the past [N, ...]; the first `order` are 0, the mean of all."""
        means = np.zeros_like(z)
        means[self.order :] = self.constant
        for k, weight in enumerate(self.weights, 1):
            means[self.order :] += weight * z[self.order - k : len(z) - k]
        return means

    def predict(
        self, values: np.ndarray, z: np.ndarray, origins: Origins, rng: np.random.Generator | None, paths: int = 0
    ) -> Predicted:
        """Iterated; the center without noise, the intervals of `paths` drawn (None where there are none).

        Args:
          values: of the series [N].
          z: transformed, aligned to values; [N].
          origins: to forecast from.
          rng: of the noise.
          paths: how many.
        """
        horizon, count = origins.actual.shape
        base = self.transform.base(origins.histories(values, self.transform.lost + 1), horizon)
        history = origins.histories(z, self.order)
        center = self._iterate(history, np.zeros((horizon, 1, count)))
        found = self.transform.inverse(self.transform.accumulate(center), base[:, None])[:, 0]
        if rng is None or not paths:
            return Predicted(found)
        drawn = self._iterate(history, self.deviation * rng.standard_normal((horizon, paths, count)))
        levels = self.transform.inverse(self.transform.accumulate(drawn), base[:, None])
        return Predicted.of_paths(np.moveaxis(levels, 1, 0), found)

    def _iterate(self, history: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Z [H, P, O] after history [order, O], with noise of that shape."""
        horizon, paths, count = noise.shape
        z = np.empty((self.order + horizon, paths, count))
        z[: self.order] = history[:, None]
        for t in range(self.order, len(z)):
            z[t] = self.constant + np.tensordot(self.weights[::-1], z[t - self.order : t], 1) + noise[t - self.order]
        return z[self.order :]


def orders(season: int, points: int) -> list[int]:
    """Candidates: small ones, and those that reach a season back, as far as a series of `points` bears them."""
    wanted = {1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 48, season, season + 1, 2 * season, 2 * season + 1}
    return sorted(order for order in wanted if 4 * (order + 1) <= points)


def choose(
    values: np.ndarray,
    candidates: Iterable[tuple[Transform, np.ndarray, np.ndarray]],
    training: int,
    validation: Origins,
    season: int,
) -> tuple[Autoregression, float]:
    """The autoregression that is best on validation: of the transform and the order, by the MAE over all steps.

    Args:
      values: of the series [N].
      candidates: of each transform, itself, z [N] aligned to values and which of them are usable.
      training: where the training part ends; nothing behind it is fitted to.
      validation: to choose by.
      season: in points.

    Returns:
      The best, and its MAE.

    Raises:
      ValueError: where no candidate could be fitted.
    """
    found: list[tuple[float, Autoregression]] = []
    for transform, z, usable in candidates:
        for order in orders(season, int(usable[:training].sum())):
            # The first origin must have its whole history.
            if validation.places[0] - order - transform.lost < 0:
                continue
            try:
                model = Autoregression.fit(transform, z[:training], usable[:training], order)
            except ValueError:
                continue
            with np.errstate(over="ignore", invalid="ignore"):  # an unstable one
                errors = np.abs(model.predict(values, z, validation, None).center - validation.actual)
            found.append((float(np.mean(errors[validation.scored])), model))
    finite: Sequence[tuple[float, Autoregression]] = [pair for pair in found if np.isfinite(pair[0])]
    if not finite:
        raise ValueError("no autoregression could be fitted to the training part; it is too short")
    error, best = min(finite, key=lambda pair: pair[0])
    return best, error
