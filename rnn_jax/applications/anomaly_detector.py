"""A forecaster that detects anomalies: points that it finds improbable."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.applications.residuals import standardised_residuals, surprise
from rnn_jax.applications.series_forecaster import ReadsSeries
from rnn_jax.data import Series


class Anomalies(NamedTuple):
    """Scores of the points of a series."""

    scores: np.ndarray  # [N]: -log p of each point given those before it, in nats; NaN for the first `warm_up`
    alarms: np.ndarray  # booleans [N]: whether the score exceeds the threshold


@dataclasses.dataclass(frozen=True)
class AnomalyDetector(ReadsSeries):
    """Scores every point of a series by -log p of its residual, from the points up to it alone.

    Args:
      width: number of last residuals that are also judged jointly; 1: none.
      threshold: score above which a point is an alarm.
      thresholds: that of each of `scales`, in place of it.
    """

    width: int = 1
    threshold: float = 0.0
    thresholds: tuple[float, ...] = ()

    @property
    def warm_up(self) -> int:
        """Number of first points that are read and not scored."""
        return self.transform.lost + self.window

    def alone(self, name: str, series: Series) -> Self:
        names = (scale.name for scale in self.scales)
        own = dict(zip(names, self.thresholds, strict=True)).get(name, self.threshold)
        return dataclasses.replace(super().alone(name, series), threshold=own, thresholds=())

    def predict_one(self, params: Any, inputs: Any, seed: int) -> Anomalies:
        """Returns the scores of a series."""
        per_seed = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], params)
        read, _ = self.inputs(inputs)
        residuals = standardised_residuals(self.model, per_seed, read[:, None])[1, :, 0]  # from the second z on
        scores = np.full(len(read) + self.transform.lost, np.nan)
        scores[self.warm_up :] = surprise(residuals, self.width)[self.window - 1 :]
        return Anomalies(scores, scores > self.threshold)

    def lines_of_one(self, inputs: Any, answer: Any) -> Sequence[str]:
        rows = zip(inputs.labels, inputs.values, *answer, strict=True)
        scored = [row for row in rows if not np.isnan(row[2])]
        return [
            f"time\t{inputs.name}\tscore\tabove {self.threshold:.3g}",
            *(f"{label}\t{value:g}\t{score:.3f}\t{'alarm' if alarm else ''}" for label, value, score, alarm in scored),
        ]
