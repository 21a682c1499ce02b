"""Linear autoregression of a series."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Autoregression:
    """z_t = c + sum_k a_k z_{t-k} + e_t,   e_t ~ N(0, v), fitted by least squares."""

    weights: np.ndarray  # [order]; a_k at index k - 1
    constant: float
    deviation: float  # sqrt(v), of the residuals

    @property
    def order(self) -> int:
        return len(self.weights)

    @classmethod
    def fit(cls, z: np.ndarray, usable: np.ndarray, order: int) -> "Autoregression":
        """Fits to z [N], at the points t at which z_t, ..., z_{t-order} are all usable [N].

        Raises:
          ValueError: if there are fewer than twice as many such points as coefficients.
        """
        lagged = np.stack([z[order - k : len(z) - k] for k in range(1, order + 1)], axis=1)
        complete = np.all([usable[order - k : len(z) - k] for k in range(order + 1)], axis=0)
        if complete.sum() < 2 * (order + 1):
            raise ValueError(f"an autoregression of order {order} needs at least {2 * (order + 1)} points")
        design = np.column_stack([lagged, np.ones(len(lagged))])[complete]
        solution, *_ = np.linalg.lstsq(design, z[order:][complete], rcond=None)
        residuals = z[order:][complete] - design @ solution
        freedom = len(residuals) - order - 1
        return cls(solution[:-1], float(solution[-1]), float(np.sqrt(np.sum(residuals**2) / freedom)))

    def one_step(self, z: np.ndarray) -> np.ndarray:
        """Returns the mean of z_t given its past, for z [N, ...]; 0 for the first `order` points."""
        means = np.zeros_like(z)
        means[self.order :] = self.constant
        for k, weight in enumerate(self.weights, 1):
            means[self.order :] += weight * z[self.order - k : len(z) - k]
        return means

    def extrapolate(self, history: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Returns paths z [H, P, O] after history [order, O], for noise e [H, P, O]."""
        horizon, paths, count = noise.shape
        z = np.empty((self.order + horizon, paths, count))
        z[: self.order] = history[:, None]
        for t in range(self.order, len(z)):
            z[t] = self.constant + np.tensordot(self.weights[::-1], z[t - self.order : t], 1) + noise[t - self.order]
        return z[self.order :]

    def forecast(self, history: np.ndarray, horizon: int) -> np.ndarray:
        """Returns the path without noise, [horizon, O], after history [order, O]."""
        return self.extrapolate(history, np.zeros((horizon, 1, history.shape[1])))[:, 0]


def candidate_orders(season: int, points: int) -> list[int]:
    """Returns small orders and those that reach a season back, as far as `points` points suffice to fit them."""
    orders = {1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 48, season, season + 1, 2 * season, 2 * season + 1}
    return sorted(order for order in orders if 4 * (order + 1) <= points)
