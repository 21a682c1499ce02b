"""One run: measures the gradient's reach, trains all seeds, measures again."""

import dataclasses
from typing import Any

import jax
import numpy as np

from experiments.common import run_files
from experiments.common.runner import init_state
from experiments.gradient_norms.config import Config, Run
from rnn_jax import diagnostics, initializers, training
from rnn_jax.seeds import fetch

LOG_POINTS = 10  # chunks of a training, after each of which progress is reported; one compiled program runs all
MEASURED_SEQUENCES = 64  # over which gradient norms are averaged
TEST_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Moment:
    """Measurements of all seeds at one moment: before or after training."""

    reach: dict[str, dict[str, np.ndarray]]  # loss -> component -> [seeds, lags]; `diagnostics.gradient_reach`
    metrics: dict[str, np.ndarray]  # on the test set, [seeds]
    saturation: dict[str, diagnostics.Saturation]  # nonlinearity -> shares, [seeds]; `diagnostics.saturation`
    not_finite: dict[str, np.ndarray]  # parameter -> number of NaN and infinities, [seeds]
    spectral_radius: np.ndarray  # [seeds]
    theory: np.ndarray  # [seeds, lags]; `diagnostics.linearised_reach`

    @property
    def relative(self) -> np.ndarray:
        """||dL/ds_{T-k}|| / ||dL/ds_T|| [seeds, lags] for the loss at the last step; zero for a dead network."""
        norms = self.reach["last_step"]["total"].astype(np.float64)
        return norms / np.where(norms[:, :1] > 0, norms[:, :1], 1)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a run."""

    before: Moment
    after: Moment
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
    model = trainer.model
    batch = run.task.sample(key_measured, MEASURED_SEQUENCES)
    lags = diagnostics.common_lags(batch)

    def measure_moment(params: Any) -> Moment:
        reach = diagnostics.gradient_reach(model, run.task, params, batch)
        metrics = training.evaluate(model, run.task, params, key_test, TEST_BATCH)
        fetched = fetch(params)
        seeds = [jax.tree.map(lambda leaf, s=s: leaf[s], fetched) for s in range(config.seeds)]
        inputs_not_finite = diagnostics.not_finite({"inputs": batch.inputs})
        return Moment(
            reach=jax.tree.map(lambda norms: norms[:, :lags], fetch(reach)),
            metrics=metrics,
            saturation=_stack([diagnostics.saturation(model.cell, p.cell, batch.inputs) for p in seeds]),
            not_finite=_stack([diagnostics.not_finite(p) | inputs_not_finite for p in seeds]),
            spectral_radius=np.array([diagnostics.spectral_radius(model.cell, p.cell) for p in seeds]),
            theory=np.array([diagnostics.linearised_reach(model.cell, p.cell, lags) for p in seeds]),
        )

    before = measure_moment(state.params)
    progress = training.train(
        trainer,
        run.task,
        state,
        run.steps,
        log_every=-(-run.steps // LOG_POINTS),
        session=session,
    )
    if progress is None:
        return None
    after = measure_moment(progress.training.params)
    return Outcome(
        before=before,
        after=after,
        history=progress.history,
        parameters=trainer.parameters,
        ms_per_step=1e3 * progress.pace,
        solved=run_files.solved_seeds(run.task, after.metrics),
    )


def _stack(seeds: list[Any]) -> Any:
    """Returns one pytree of arrays [seeds] for a list of pytrees of numbers."""
    return jax.tree.map(lambda *values: np.stack(values), *seeds)
