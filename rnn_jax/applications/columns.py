"""What a forecaster reads beside its series: covariates, and calendar features of the step that it forecasts."""

import dataclasses

import numpy as np

from rnn_jax.data import Level, Series, Transform
from rnn_jax.data.time_axis import calendar
from rnn_jax.static import Static


@dataclasses.dataclass(frozen=True)
class Columns(Static):
    """Covariates with their transforms, and the calendar features in use.

    Args:
      covariates: names of the covariates.
      transforms: transform of each, fitted to the training set: the differences of the series, standardised.
      cycles: hour, weekday or month, of which the phase is read.
      step: distance of the dates that the cycles were chosen for.
    """

    covariates: tuple[str, ...] = ()
    transforms: tuple[Transform, ...] = ()
    cycles: tuple[str, ...] = ()
    step: str = ""

    @classmethod
    def fitted(cls, series: Series, transform: Transform, end: int, cycles: tuple[str, ...] = ()) -> "Columns":
        """Returns the columns of a series whose training set is [:end]; a constant covariate is not scaled."""
        transforms = []
        for values in [] if series.extra is None else series.extra[:end].T:
            same = Transform(Level(), transform.lags)
            try:
                transforms.append(same.fitted(values))
            except ValueError:
                transforms.append(dataclasses.replace(same, mean=float(np.mean(same.forward(values)))))
        return cls(series.covariates, tuple(transforms), cycles, str(series.step) if cycles else "")

    def forward(self, series: Series) -> np.ndarray:
        """Returns the transformed covariates [N, C], zeros before the first difference."""
        if series.extra is None:
            return np.zeros((len(series.values), 0))
        each = zip(self.transforms, series.extra.T, strict=True)
        return np.stack(
            [np.concatenate([np.zeros(transform.lost), transform.forward(values)]) for transform, values in each],
            axis=1,
        )

    def inputs(self, z: np.ndarray, series: Series | None, horizon: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns a model's inputs [N, 1 + C + K] for z [N], and the known features of later steps [horizon, K].

        These begin two steps ahead, as the last input holds those of the next step.

        Raises:
          ValueError: if the series does not hold the columns, or its dates are missing or at other steps.
        """
        if not self.covariates and not self.cycles:
            return z[:, None], np.zeros((horizon, 0))
        if series is None or series.covariates != self.covariates:
            got = "none" if series is None else ", ".join(series.covariates) or "none"
            raise ValueError(f"inputs must be a Series with covariates {', '.join(self.covariates)}, got {got}")
        if self.cycles and str(series.step) != self.step:
            raise ValueError(f"a series must have dates at steps of {self.step}, as in training, got {series.step}")
        known = known_features(series, self.cycles, horizon + 1)
        return np.column_stack([z, self.forward(series), known[1 : len(z) + 1]]), known[len(z) + 1 :]


NO_COLUMNS = Columns()


def known_features(series: Series, cycles: tuple[str, ...], horizon: int) -> np.ndarray:
    """Returns the calendar features of the points of a series and the `horizon` after it, [N + horizon, K]."""
    if not cycles or series.times is None or series.step is None:
        return np.zeros((len(series.values) + horizon, 0))
    return calendar(np.concatenate([series.times, series.step.after(series.times[-1], horizon)]), cycles)
