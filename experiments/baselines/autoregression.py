"""Linear autoregression of a series, by itself or with covariates (vector autoregression) and known features."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Autoregression:
    """x_t = c + sum_k A_k x_{t-k} + B u_t + e_t,   e_t ~ N(0, diag(v)), fitted by least squares.

    u_t is known before step t. The columns of x_t are the series, then its covariates.
    """

    weights: np.ndarray  # [columns, order * columns]; A_k from k = order down to 1
    known: np.ndarray  # [columns, known]; B
    constant: np.ndarray  # [columns]
    deviation: np.ndarray  # [columns]; sqrt(v), of the residuals

    @property
    def order(self) -> int:
        return self.weights.shape[1] // len(self.weights)

    @property
    def parameters(self) -> int:
        return self.weights.size + self.known.size + self.constant.size

    @classmethod
    def fit(cls, x: np.ndarray, usable: np.ndarray, order: int, known: np.ndarray) -> "Autoregression":
        """Fits to x [N, columns] and u [N, known], at the points t at which t, ..., t - order are all usable [N].

        Raises:
          ValueError: if there are fewer than twice as many such points as coefficients.
        """
        lagged = [x[order - k : len(x) - k] for k in range(1, order + 1)]
        complete = np.all([usable[order - k : len(x) - k] for k in range(order + 1)], axis=0)
        count = order * x.shape[1] + known.shape[1] + 1
        if complete.sum() < 2 * count:
            raise ValueError(f"an autoregression of order {order} needs at least {2 * count} points")
        design = np.column_stack([*lagged, known[order:], np.ones(len(x) - order)])[complete]
        targets = x[order:][complete]
        solution, *_ = np.linalg.lstsq(design, targets, rcond=None)
        residuals = targets.T - np.stack([design @ each for each in np.ascontiguousarray(solution.T)])
        deviation = np.sqrt(np.sum(residuals**2, axis=1) / (len(targets) - count))
        columns = x.shape[1]
        lags = solution[: order * columns].reshape(order, columns, columns)[::-1]
        weights = lags.reshape(order * columns, columns).T
        return cls(weights, solution[order * columns : -1].T, solution[-1], deviation)

    def one_step(self, x: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Returns the mean of x_t given its past, for x [N, B, columns], u [N, known]; 0 for the first `order`."""
        means = np.zeros_like(x)
        means[self.order :] = self.constant + (known @ self.known.T)[self.order :, None]
        lags = self.weights.reshape(len(self.weights), self.order, -1)
        for k in range(1, self.order + 1):
            means[self.order :] += x[self.order - k : len(x) - k] @ lags[:, -k].T
        return means

    def extrapolate(self, history: np.ndarray, noise: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Returns paths x [H, columns, P, O] after history [order, columns, O], for noise e and u [H, known, O]."""
        horizon, columns, paths, count = noise.shape
        x = np.empty((self.order + horizon, columns, paths, count))
        x[: self.order] = history[:, :, None]
        for t in range(self.order, len(x)):
            past = x[t - self.order : t].reshape(-1, paths, count)
            h = t - self.order
            given = (self.known @ known[h])[:, None] if known.shape[1] else 0.0
            x[t] = self.constant[:, None, None] + np.tensordot(self.weights, past, 1) + noise[h] + given
        return x[self.order :]

    def forecast(self, history: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Returns the path of the series without noise, [H, O], after history [order, columns, O]."""
        noise = np.zeros((len(known), history.shape[1], 1, history.shape[2]))
        return self.extrapolate(history, noise, known)[:, 0, 0]


def candidate_orders(season: int, points: int, columns: int = 1) -> list[int]:
    """Returns small orders and those that reach a season back, as far as `points` points suffice to fit them."""
    orders = {1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 48, season, season + 1, 2 * season, 2 * season + 1}
    return sorted(order for order in orders if 4 * (order * columns + 1) <= points)
