"""Which trainings stay finite: all gains and seeds of one activation and one clipping in one program."""

import dataclasses
import math

import jax
import numpy as np

from experiments.common.moments import MEASURED_SEQUENCES, Moment, measure_moment
from experiments.exploding.boundary import with_gains
from experiments.exploding.config import Plan, Training
from rnn_jax import training
from rnn_jax.seeds import fetch

LOG_POINTS = 5  # chunks of a training, after each of which progress is reported; one compiled program runs all
SHUT = 0.9  # share of saturated activations above which a network passes no gradient
LATE = 1.1  # multiple of the baseline above which a loss is worse than ignoring the inputs; noise is about 5 %
FINAL_SHARE = 6  # the last sixth of the steps is the end of a training


@dataclasses.dataclass(frozen=True)
class Square:
    """One gain under one clipping, over seeds."""

    finite: int  # seeds that never met a NaN or an infinity
    seeds: int
    diverged_at: float  # optimization step, median of the seeds that diverged; NaN: none
    loss: float  # at the end of training, median of the finite seeds; NaN: none
    largest_norm: float  # of a finite gradient before clipping, over steps; median over seeds
    shut: float  # share of saturated activations after training, median over seeds

    def fate(self, baseline: float) -> str:
        """Returns `lost` if half of the seeds or more diverged, else `shut`, `late` (above the baseline) or `sound`."""
        if self.finite * 2 <= self.seeds:
            return "lost"
        if self.shut > SHUT:
            return "shut"
        return "late" if self.loss > LATE * baseline else "sound"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a training; the axes [gains, seeds] come first."""

    history: training.StepMetrics  # of NumPy arrays, [gains, seeds, steps]
    diverged_at: np.ndarray  # optimization step, from 1, at which loss or gradient was not finite; 0: none
    moments: dict[str, Moment]  # before and after; arrays [gains, seeds, ...]
    largest_singular_value: np.ndarray  # of W_h, after training

    @property
    def end_loss(self) -> np.ndarray:
        """Mean training loss over the last steps [gains, seeds]."""
        losses = self.history.loss
        return np.mean(losses[..., -max(1, losses.shape[-1] // FINAL_SHARE) :], axis=-1)

    @property
    def shut(self) -> np.ndarray:
        """Share of activations at a bound of tanh or at ReLU's zero after training [gains, seeds]; ReLU starts at half.

        A diverged seed's activations are those of its last finite parameters.
        """
        (shares,) = self.moments["after"].saturation.values()
        return np.asarray(shares.low + shares.high)

    def square(self, gain: int) -> Square:
        """Returns the summary of the gain with index `gain`."""
        at, norms = self.diverged_at[gain], self.history.grad_norm[gain]
        losses = self.end_loss[gain][at == 0]
        finite = np.where(np.isfinite(norms), norms, np.nan)
        largest = [np.nanmax(n) for n in finite if np.isfinite(n).any()]
        return Square(
            finite=int(np.sum(at == 0)),
            seeds=len(at),
            diverged_at=float(np.median(at[at > 0])) if at.any() else math.nan,
            loss=float(np.median(losses)) if losses.size else math.nan,
            largest_norm=float(np.median(largest)) if largest else math.inf,
            shut=float(np.median(self.shut[gain])),
        )

    def not_finite_at(self, gain: int, seed: int) -> list[str]:
        """Names the parameters whose own gradient was not finite when the seed diverged, in their order.

        Empty if only the global norm overflowed: float32 does not hold the square of more than 1.8e19.
        """
        step = self.diverged_at[gain, seed] - 1
        return [name for name, norms in self.history.grad_norms.items() if not np.isfinite(norms[gain, seed, step])]


def divergence_steps(loss: np.ndarray, grad_norm: np.ndarray) -> np.ndarray:
    """Returns the first step, from 1, at which either [..., steps] is NaN or infinite; 0 if none is."""
    bad = ~(np.isfinite(loss) & np.isfinite(grad_norm))
    return np.where(bad.any(axis=-1), np.argmax(bad, axis=-1) + 1, 0)


def measure(
    plan: Plan, job: Training, unit: training.TrainState, key: jax.Array, session: training.Session
) -> Outcome | None:
    """Trains W_h = g x orthogonal for every gain and seed; the same matrices and batches at every gain.

    Args:
      plan: task and gains.
      job: activation, clipping and trainer.
      unit: states at gain 1, [seeds, ...], the same for every job.
      key: key of the measured batches.
      session: progress reports, stop signal and checkpoints.

    Returns:
      The outcome; None if the session was stopped.
    """
    key_measured, key_test = jax.random.split(key)
    steps, state, model = plan.config.steps, with_gains(unit, plan.gains), job.trainer.model
    batch = plan.task.sample(key_measured, MEASURED_SEQUENCES)

    def by_gain(values: np.ndarray) -> np.ndarray:
        return np.reshape(values, (len(plan.gains), plan.config.seeds, *np.shape(values)[1:]))

    before = measure_moment(model, plan.task, state.params, batch, key_test)
    log_every = -(-steps // LOG_POINTS)
    progress = training.train(job.trainer, plan.task, state, steps, log_every=log_every, session=session)
    if progress is None:
        return None
    trained = progress.training.params
    after = measure_moment(model, plan.task, trained, batch, key_test)
    history = jax.tree.map(by_gain, progress.history)
    moments = {
        name: Moment(*(jax.tree.map(by_gain, field) for field in vars(each).values()))
        for name, each in (("before", before), ("after", after))
    }
    singular = by_gain(np.linalg.norm(fetch(trained.cell.w_h), ord=2, axis=(1, 2)))
    return Outcome(history, divergence_steps(history.loss, history.grad_norm), moments, singular)
