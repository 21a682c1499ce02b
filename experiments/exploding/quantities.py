"""What the measurements come to: the few numbers that the records, the table, the figures and the words share."""

import dataclasses
import math
from typing import Any

import numpy as np

from experiments.exploding.boundary import Boundary
from experiments.exploding.config import Config, Training
from experiments.exploding.survival import Outcome
from rnn_jax import tasks

SHUT = 0.9  # a larger share of activations without a slope than this is a network thrown into saturation
LATE = 1.1  # a loss of more than so many baselines is worse than ignoring the inputs; the noise is worth about 5 %
LATE_SHARE = 6  # the last sixth of the steps is the end of a training


@dataclasses.dataclass(frozen=True)
class Findings:
    """All that was measured; what is told is computed from it alone."""

    config: Config
    task: tasks.Adding
    gains: list[float]
    boundaries: list[Boundary]
    trainings: list[tuple[Training, Outcome]]


@dataclasses.dataclass(frozen=True)
class Square:
    """One gain under one clipping, over seeds."""

    finite: int  # seeds that never met a NaN or an infinity
    seeds: int
    diverged_at: float  # optimization step, median of the seeds that did; NaN: none
    loss: float  # at the end of training, median of those that did not; NaN: none
    largest_norm: float  # of a finite gradient before clipping, over steps; median over seeds
    clipped: float  # share of steps
    shut: float  # share of activations that pass next to no gradient after training, median over seeds

    def fate(self, baseline: float) -> str:
        """`lost` where half of the seeds or more diverged, `shut` where units are, `late` above the baseline."""
        if self.finite * 2 <= self.seeds:
            return "lost"
        if self.shut > SHUT:
            return "shut"
        return "late" if self.loss > LATE * baseline else "sound"


def square(outcome: Outcome, gain: int) -> Square:
    """Of the gain at that place."""
    history, at = outcome.history, outcome.diverged_at[gain]
    losses = end_loss(history.loss[gain])[at == 0]
    norms = np.where(np.isfinite(history.grad_norm[gain]), history.grad_norm[gain], np.nan)
    largest = [np.nanmax(n) for n in norms if np.isfinite(n).any()]
    steps = np.where(at > 0, at, history.loss.shape[-1])
    return Square(
        finite=int(np.sum(at == 0)),
        seeds=len(at),
        diverged_at=float(np.median(at[at > 0])) if at.any() else math.nan,
        loss=float(np.median(losses)) if losses.size else math.nan,
        largest_norm=float(np.median(largest)) if largest else math.inf,
        clipped=float(np.sum(history.clipped[gain]) / np.sum(steps)),
        shut=float(np.median(shut(outcome)[gain])),
    )


def end_loss(losses: np.ndarray) -> np.ndarray:
    """The mean training loss [...] over the last steps of [..., steps]."""
    return np.mean(losses[..., -max(1, losses.shape[-1] // LATE_SHARE) :], axis=-1)


def shut(outcome: Outcome) -> np.ndarray:
    """The share of activations, over units and steps, on a rail of tanh or the zero of ReLU after training.

    [gains, seeds]; of a ReLU about half are at the start. A diverged seed's are those before it diverged.
    """
    (shares,) = outcome.saturation["after"].values()
    return np.asarray(shares.low + shares.high)


def squares(found: Findings) -> list[tuple[Training, float, Square]]:
    """Every one, by training and gain."""
    return [(t, g, square(o, i)) for t, o in found.trainings for i, g in enumerate(found.gains)]


def number(value: Any) -> str:
    """Three figures, or the whole part; a power of ten from ten thousand."""
    if math.isnan(value):
        return "-"
    if abs(value) >= 100:
        return f"{value:.0e}" if abs(value) >= 10_000 else f"{value:.0f}"
    return f"{value:#.3g}"
