"""One run: measures the gradient's reach, trains all seeds, measures again."""

import dataclasses
from typing import Any

import jax
import numpy as np

from experiments.common.moments import MEASURED_SEQUENCES, Moment, measure_moment, split_seeds
from experiments.common.records import solved_seeds
from experiments.common.runner import init_state
from experiments.gradient_norms.config import Config, Run
from rnn_jax import diagnostics, initializers, training

LOG_POINTS = 10  # chunks of a training, after each of which progress is reported; one compiled program runs all


@dataclasses.dataclass(frozen=True)
class State:
    """Measurements of all seeds before or after training."""

    moment: Moment
    spectral_radius: np.ndarray  # [seeds]
    theory: np.ndarray  # [seeds, lags]; `diagnostics.linearised_reach`


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a run."""

    before: State
    after: State
    history: training.StepMetrics  # of NumPy arrays, [seeds, steps]
    parameters: int
    ms_per_step: float  # of all seeds; median of the chunks after the first, which compiles
    solved: list[bool]  # [seeds], whether the task's criterion is met


def measure(run: Run, config: Config, session: training.Session) -> Outcome | None:
    """Measures, trains and measures again.

    Args:
      run: cell, task and trainer.
      config: config of the experiment.
      session: progress reports, stop signal and checkpoints.

    Returns:
      The outcome; None if the session was stopped.
    """
    key_seeds, key_measured, key_test = jax.random.split(jax.random.key(config.seed), 3)
    state = init_state(run.trainer, jax.random.split(key_seeds, config.seeds))
    # Initialisations of a cell share its compiled programs.
    trainer = initializers.without_initializers(run.trainer)
    cell = trainer.model.cell
    batch = run.task.sample(key_measured, MEASURED_SEQUENCES)

    def measure_state(params: Any) -> State:
        seeds, lags = [p.cell for p in split_seeds(params)], diagnostics.common_lags(batch)
        return State(
            measure_moment(trainer.model, run.task, params, batch, key_test),
            spectral_radius=np.array([diagnostics.spectral_radius(cell, p) for p in seeds]),
            theory=np.array([diagnostics.linearised_reach(cell, p, lags) for p in seeds]),
        )

    before = measure_state(state.params)
    log_every = -(-run.steps // LOG_POINTS)
    progress = training.train(trainer, run.task, state, run.steps, log_every=log_every, session=session)
    if progress is None:
        return None
    after = measure_state(progress.training.params)
    solved = solved_seeds(run.task, after.moment.metrics)
    return Outcome(before, after, progress.history, trainer.parameters, 1e3 * progress.pace, solved)
