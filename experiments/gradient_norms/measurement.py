"""One run: measures the gradient's reach, trains all seeds, measures again."""

import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from experiments.common import parallel
from experiments.gradient_norms.config import Config, Run
from rnn_jax import diagnostics, initializers, training
from rnn_jax.seeds import fetch

LOG_POINTS = 10  # pieces in which a run reports progress; one compiled program runs each
MEASURED_SEQUENCES = 64  # over which gradient norms are averaged
TEST_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Phase:
    """What is measured before, and again after training. All over seeds."""

    reach: dict[str, dict[str, np.ndarray]]  # loss -> component -> [seeds, lags]; `diagnostics.gradient_reach`
    metrics: dict[str, np.ndarray]  # on the test set, [seeds]
    saturation: dict[str, diagnostics.Saturation]  # nonlinearity -> shares, [seeds]; `diagnostics.saturation`
    not_finite: dict[str, np.ndarray]  # parameter -> numbers that are NaN or infinite, [seeds]
    spectral_radius: np.ndarray  # [seeds]
    theory: np.ndarray  # [seeds, lags]; `diagnostics.linearised_reach`


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that a run gave."""

    before: Phase
    after: Phase
    history: training.StepMetrics  # of NumPy arrays, [seeds, steps]
    parameters: int
    ms_per_step: float  # of all seeds together; median of the pieces after the first, which compiles


def measure(run: Run, config: Config, session: training.Session) -> Outcome | None:
    """Measures, trains and measures again.

    Args:
      run: what to run.
      config: of the whole experiment.
      session: who is told, what ends it, where it is kept.

    Returns:
      The outcome; None where it was stopped.
    """
    key_seeds, key_measured, key_test = jax.random.split(jax.random.key(config.seed), 3)
    state = parallel.begin(run.trainer, jax.random.split(key_seeds, config.seeds))
    # Initialisations of a cell share its compiled programs.
    trainer = initializers.without_initializers(run.trainer)
    model = trainer.model
    batch = run.task.sample(key_measured, MEASURED_SEQUENCES)
    lags = diagnostics.common_lags(batch)

    def look(of_seeds: Any) -> Phase:
        reach = diagnostics.gradient_reach(model, run.task, of_seeds, batch)
        metrics = training.evaluate(model, run.task, of_seeds, key_test, TEST_BATCH)
        params = fetch(of_seeds)
        each = [jax.tree.map(lambda leaf, s=s: leaf[s], params) for s in range(config.seeds)]
        cells = [p.cell for p in each]
        return Phase(
            reach=jax.tree.map(lambda norms: norms[:, :lags], fetch(reach)),
            metrics=metrics,
            saturation=_stacked([diagnostics.saturation(model.cell, p, batch.inputs) for p in cells]),
            not_finite=_stacked(
                [diagnostics.not_finite(p) | diagnostics.not_finite({"inputs": batch.inputs}) for p in each]
            ),
            spectral_radius=np.array([diagnostics.spectral_radius(model.cell, p) for p in cells]),
            theory=np.array([diagnostics.linearised_reach(model.cell, p, lags) for p in cells]),
        )

    before = look(state.params)
    progress = training.train(
        trainer,
        functools.partial(training.run, trainer, run.task),
        state,
        run.steps,
        log_every=-(-run.steps // LOG_POINTS),
        session=session,
    )
    if progress is None:
        return None
    return Outcome(
        before=before,
        after=look(progress.training.params),
        history=progress.history,
        parameters=trainer.parameters,
        ms_per_step=1e3 * progress.pace,
    )


def _stacked(of_seeds: list[Any]) -> Any:
    """Pytrees of numbers, one a seed, as one of arrays [seeds]."""
    return jax.tree.map(lambda *values: np.stack(values), *of_seeds)
