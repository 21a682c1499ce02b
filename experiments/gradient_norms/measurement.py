"""One run: measures the gradient's reach, trains all seeds, measures again."""

import dataclasses
import threading
import time
from collections.abc import Callable

import jax
import numpy as np

from experiments.gradient_norms.config import Config, Run
from rnn_jax import diagnostics, initializers, tasks, training

LOG_POINTS = 10  # pieces in which a run reports progress; one compiled program runs each
MEASURED_SEQUENCES = 64  # over which gradient norms are averaged
TEST_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Phase:
    """What is measured before, and again after training. All over seeds."""

    reach: dict[str, dict[str, np.ndarray]]  # loss -> component -> [seeds, lags]; `diagnostics.gradient_reach`
    metrics: dict[str, np.ndarray]  # on the test set, [seeds]
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

    @property
    def diverged_at(self) -> list[int | None]:
        """For each seed the step, counted from 1, whose loss or gradient was not finite."""
        bad = ~(np.isfinite(self.history.loss) & np.isfinite(self.history.grad_norm))
        return [int(np.argmax(seed)) + 1 if seed.any() else None for seed in bad]

    def divergence(self, seed: int) -> str | None:
        """Says where a seed diverged and what the gradient norm was before."""
        step = self.diverged_at[seed]
        if step is None:
            return None
        loss, norm = self.history.loss[seed, step - 1], self.history.grad_norm[seed, step - 1]
        before = f"{self.history.grad_norm[seed, step - 2]:.3g}" if step > 1 else "not measured yet"
        return (
            f"seed {seed} diverged at step {step}: loss {loss:.3g}, gradient norm {norm:.3g}, the step before {before}"
        )


def measure(
    run: Run, config: Config, advance: Callable[[int], None], tell: Callable[[str], None], stop: threading.Event
) -> Outcome | None:
    """Measures, trains and measures again.

    Args:
      run: what to run.
      config: of the whole experiment.
      advance: called with the number of steps just done.
      tell: called with a line of text where a seed diverges.
      stop: once set, the run ends at its next log point.

    Returns:
      The outcome; None where it was stopped.
    """
    key_seeds, key_measured, key_test = jax.random.split(jax.random.key(config.seed), 3)
    state = training.init(run.trainer, jax.random.split(key_seeds, config.seeds))
    # Initialisations of a cell share its compiled programs.
    trainer = initializers.without_initializers(run.trainer)
    model = trainer.model
    batch = run.task.sample(key_measured, MEASURED_SEQUENCES)
    lags = _common_lags(batch)

    def look() -> Phase:
        reach = diagnostics.gradient_reach(model, run.task, state.params, batch)
        metrics = training.evaluate(model, run.task, state.params, key_test, TEST_BATCH)
        params = jax.tree.map(np.asarray, state.params.cell)
        each = [jax.tree.map(lambda leaf, s=s: leaf[s], params) for s in range(config.seeds)]
        return Phase(
            reach=jax.tree.map(lambda norms: np.asarray(norms)[:, :lags], reach),
            metrics=metrics,
            spectral_radius=np.array([diagnostics.spectral_radius(model.cell, params) for params in each]),
            theory=np.array([diagnostics.linearised_reach(model.cell, p, lags) for p in each]),
        )

    before = look()
    pieces, seconds = [], []
    length = -(-run.steps // LOG_POINTS)
    for done in range(0, run.steps, length):
        if stop.is_set():
            return None
        steps = min(length, run.steps - done)
        start = time.perf_counter()
        state, metrics = training.run(trainer, run.task, state, steps)
        pieces.append(training.StepMetrics(*map(np.asarray, metrics)))
        seconds.append((time.perf_counter() - start) / steps)
        advance(steps)
    outcome = Outcome(
        before=before,
        after=look(),
        history=training.StepMetrics(*(np.concatenate(parts, axis=1) for parts in zip(*pieces, strict=True))),
        parameters=sum(leaf[0].size for leaf in jax.tree.leaves(state.params)),
        ms_per_step=1e3 * float(np.median(seconds[1:])) if len(seconds) > 1 else float("nan"),
    )
    for text in filter(None, map(outcome.divergence, range(config.seeds))):
        tell(f"{run.name}: {text}; the other seeds go on")
    return outcome


def _common_lags(batch: tasks.Batch) -> int:
    """How many lags every sequence of a batch has, counted back from its last step of positive weight."""
    read = np.asarray(batch.weights) > 0
    return read.shape[0] - int(np.max(np.argmax(read[::-1], axis=0)))
