"""Anomaly detectors: the threshold that false alarms set, and differences of AUC with their intervals."""

import numpy as np

from experiments.common.flags import UserError
from rnn_jax import significance
from rnn_jax.significance import Difference, Scored

FALSE_ALARMS_HELP = "False alarms in 1,000 normal validation {}, which set the threshold."
LEAST_BLOCKS = 5  # fewer tell nothing about the spread between them
MOST_BLOCKS = 200  # longer ones only make an interval more cautious


def check_false_alarms(false_alarms: float) -> None:
    """Raises a UserError if more false alarms are asked for than there are scores."""
    if false_alarms >= 1000:
        raise UserError(f"--false_alarms must be below 1000, got {false_alarms}")


def find_threshold(normal: np.ndarray, false_alarms: float) -> float:
    """Returns the threshold that `false_alarms` in 1,000 scores of normal points or rows exceed."""
    return float(np.quantile(normal, 1 - false_alarms / 1000))


def block_length(points: int, least: int) -> int:
    """Returns the length of the blocks in which `points` in the order of time are resampled, at least `least`."""
    return max(least, -(-points // MOST_BLOCKS))


def auc(scores: np.ndarray, anomalous: np.ndarray, blocks: np.ndarray) -> Scored:
    """Returns the area under the ROC curve, P(anomalous > normal) + P(equal) / 2, as a score of blocks.

    With W_ab the pairs that an anomalous score of block a wins over a normal one of block b, and n_a, m_b their
    numbers, it is sum_ab W_ab / sum_ab n_a m_b over the blocks drawn; NaN if these hold no anomalies.

    Args:
      scores: anomaly scores [seeds, N].
      anomalous: booleans [N].
      blocks: number of the block of each score [N].
    """
    names, blocks = np.unique(blocks, return_inverse=True)
    count, above, below = len(names), blocks[anomalous], blocks[~anomalous]
    n, m = (np.bincount(each, minlength=count) for each in (above, below))
    wins = np.empty((len(scores), count, count))
    for seed, values in enumerate(scores):
        high, low = values[anomalous], values[~anomalous]
        for block in range(count):
            ordered = np.sort(low[below == block])
            won = (np.searchsorted(ordered, high, "left") + np.searchsorted(ordered, high, "right")) / 2
            wins[seed, :, block] = np.bincount(above, won, minlength=count)

    def score(drawn: np.ndarray) -> np.ndarray:
        weights = np.bincount(drawn, minlength=count).astype(float)
        with np.errstate(invalid="ignore"):
            return wins @ weights @ weights / ((n @ weights) * (m @ weights))

    return Scored(score, count)


def margin(first: Scored, second: Scored) -> Difference:
    """Returns an AUC less another with its interval over blocks and seeds, without bounds if there are few blocks."""
    if first.items < LEAST_BLOCKS:
        return Difference(float(np.mean(first.values) - np.mean(second.values)), -np.inf, np.inf)
    return significance.bootstrap(first, second)


def margin_text(difference: Difference) -> str:
    """Returns a difference in words, as in `+0.011 (0.002 to 0.020), better`."""
    return f"{difference.text('.3f')}, {difference.verdict()}"


def margin_fields(name: str, difference: Difference) -> dict[str, float]:
    """Returns the fields of a record: the difference of the metric `name` and the ends of its interval."""
    fields = zip((f"{name}_margin", f"{name}_margin_low", f"{name}_margin_high"), difference, strict=True)
    return {f"test/{field}": float(value) for field, value in fields}
