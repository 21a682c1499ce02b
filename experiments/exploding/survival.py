"""Which trainings stay finite: all gains and seeds of one activation and one clipping in one program."""

import dataclasses
from typing import Any

import jax
import numpy as np

from experiments.exploding.boundary import MEASURED_SEQUENCES, reach, with_gains
from experiments.exploding.config import Config, Training
from rnn_jax import diagnostics, tasks, training
from rnn_jax.seeds import fetch

LOG_POINTS = 5  # pieces in which a run reports progress; one compiled program runs each
TEST_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that a training gave; the axes [gains, seeds] come first."""

    history: training.StepMetrics  # of NumPy arrays, [gains, seeds, steps]
    diverged_at: np.ndarray  # optimization step, from 1, at which the loss or the gradient was not finite; 0: none
    metrics: dict[str, dict[str, np.ndarray]]  # moment -> on the test set
    reach: dict[str, np.ndarray]  # moment -> ||dL/ds_{T-k}||, [gains, seeds, lags]
    saturation: dict[str, dict[str, diagnostics.Saturation]]  # moment -> nonlinearity -> shares
    largest_singular_value: np.ndarray  # of W_h, after


def divergence_steps(loss: np.ndarray, grad_norm: np.ndarray) -> np.ndarray:
    """The first step, from 1, at which either [..., steps] is NaN or infinite; 0 where none is."""
    bad = ~(np.isfinite(loss) & np.isfinite(grad_norm))
    return np.where(bad.any(axis=-1), np.argmax(bad, axis=-1) + 1, 0)


def not_finite_at(history: training.StepMetrics, gain: int, seed: int, step: int) -> list[str]:
    """The parameters whose own gradient was not finite at a step (from 1), in the order in which they stand.

    None, where each was but the norm of all overflowed: float32 does not hold the square of more than 1.8e19.
    """
    return [name for name, norms in history.grad_norms.items() if not np.isfinite(norms[gain, seed, step - 1])]


def measure(
    job: Training,
    config: Config,
    task: tasks.Task,
    gains: list[float],
    unit: training.TrainState,
    key: jax.Array,
    session: training.Session,
) -> Outcome | None:
    """Trains W_h = g x orthogonal for every gain and seed; the same matrices and batches at every gain.

    Args:
      job: the activation, the clipping and the trainer.
      config: of the whole experiment.
      task: to be learnt.
      gains: g.
      unit: states at gain 1, [seeds, ...], the same for every job.
      key: of the batches measured and tested on.
      session: who is told, what ends it, where it is kept.

    Returns:
      The outcome; None where it was stopped.
    """
    key_measured, key_test = jax.random.split(key)
    state = with_gains(unit, gains)
    model, batch = job.trainer.model, task.sample(key_measured, MEASURED_SEQUENCES)

    def by_gain(values: np.ndarray) -> np.ndarray:
        return np.reshape(values, (len(gains), config.seeds, *np.shape(values)[1:]))

    moments: dict[str, tuple] = {}

    def look(moment: str, of_seeds: Any) -> None:
        metrics = training.evaluate(model, task, of_seeds, key_test, TEST_BATCH)
        cells = fetch(of_seeds.cell)
        each = [jax.tree.map(lambda leaf, i=i: leaf[i], cells) for i in range(len(gains) * config.seeds)]
        shares = [diagnostics.saturation(model.cell, params, batch.inputs) for params in each]
        moments[moment] = (
            jax.tree.map(by_gain, metrics),
            reach(model, task, of_seeds, batch, gains),
            jax.tree.map(lambda *values: by_gain(np.stack(values)), *shares),
        )

    look("before", state.params)
    progress = training.train(
        job.trainer,
        task,
        state,
        config.steps,
        log_every=-(-config.steps // LOG_POINTS),
        session=session,
    )
    if progress is None:
        return None
    trained = progress.training.params
    look("after", trained)
    history = jax.tree.map(by_gain, progress.history)
    metrics, reaches, saturation = ({m: parts[i] for m, parts in moments.items()} for i in range(3))
    return Outcome(
        history=history,
        diverged_at=divergence_steps(history.loss, history.grad_norm),
        metrics=metrics,
        reach=reaches,
        saturation=saturation,
        largest_singular_value=by_gain(np.linalg.norm(fetch(trained.cell.w_h), ord=2, axis=(1, 2))),
    )
