"""One run: trains all seeds of a cell and measures its dynamics at every checkpoint.

The state follows the task's inputs, s_t = step(s_{t-1}, x_t). Along it, J_t = ds_t/ds_{t-1}:

    lambda_i    Lyapunov exponents, growth per step of the i-th direction over the whole sequence
    sigma_i     singular values of J_T ... J_{T-k+1} = ds_T/ds_{T-k}
    reach       ||dL/ds_{T-k}|| for the loss at the last step
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from experiments.common.moments import MEASURED_SEQUENCES, TEST_BATCH, split_seeds, stack_seeds
from experiments.common.records import solved_seeds
from experiments.dynamics.config import Config, Run
from rnn_jax import diagnostics, initializers, tasks, training
from rnn_jax.seeds import fetch

WARMUP = 5  # the first fifth of a sequence does not count in its exponents

# name -> [seeds, ...]: `lyapunov` [seeds, n] in nats per step, descending; `log_singular_values` [seeds, lags, n],
# descending; `reach` [seeds, T] by lag; `horizon` [seeds] in steps; `saturation/NONLINEARITY/SHARE` [seeds].
Snapshot = dict[str, np.ndarray]
DYNAMICS = ("lyapunov", "log_singular_values", "reach", "horizon")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Result of a run."""

    steps: list[int]  # optimization steps of the snapshots
    snapshots: list[Snapshot]
    history: training.StepMetrics  # of NumPy arrays, [seeds, steps]
    metrics: dict[str, dict[str, np.ndarray]]  # before and after -> on the test set, [seeds]
    solved: list[bool]  # [seeds]


def measured_lags(task: tasks.Task) -> list[int]:
    """Returns 1, 2, 5, 10, 20, ... up to the task's longest dependency, which comes last."""
    lags = [digit * 10**power for power in range(9) for digit in (1, 2, 5)]
    return [*(lag for lag in lags if lag < task.dependency), task.dependency]


def measure(run: Run, config: Config, session: training.Session) -> Outcome | None:
    """Trains a run's cell and measures its dynamics; returns None if the session was stopped."""
    key_seeds, key_measured, key_test = jax.random.split(jax.random.key(config.seed), 3)
    state = training.init(run.trainer, jax.random.split(key_seeds, config.seeds))
    # Initialisations of a cell share its compiled programs.
    trainer = initializers.without_initializers(run.trainer)
    batch = run.task.sample(key_measured, MEASURED_SEQUENCES)

    def test(params: Any) -> dict[str, np.ndarray]:
        return training.evaluate(trainer.model, run.task, params, key_test, TEST_BATCH)

    def snapshot(params: Any) -> Snapshot:
        return take_snapshot(trainer, config, run.task, params, batch)

    before, first = test(state.params), snapshot(state.params)
    every = config.steps // config.checkpoints
    options: dict[str, Any] = {"log_every": every, "eval_every": every, "session": session}
    progress = training.train(
        trainer, run.task, state, config.steps, evaluate=lambda now: snapshot(now.training.params), **options
    )
    if progress is None:
        return None
    later = [{name: v[:, i] for name, v in progress.curves.items()} for i in range(len(progress.eval_steps))]
    metrics = {"before": before, "after": test(progress.training.params)}
    steps = [0, *map(int, progress.eval_steps)]
    return Outcome(steps, [first, *later], progress.history, metrics, solved_seeds(run.task, metrics["after"]))


def take_snapshot(
    trainer: training.Trainer, config: Config, task: tasks.Task, params: Any, batch: tasks.Batch
) -> Snapshot:
    """Returns the dynamics of all seeds of params [seeds, ...]."""
    cell, lags = trainer.model.cell, measured_lags(task)
    reach = fetch(diagnostics.gradient_reach(trainer.model, task, params, batch)["last_step"]["total"])
    reach = reach[:, : diagnostics.common_lags(batch)]
    xs = batch.inputs[:, : config.sequences]
    seeds = []
    for seed_params in split_seeds(params.cell):
        # Fetched one by one: both have QR decompositions (see `runner`).
        exponents = np.asarray(diagnostics.lyapunov_spectrum(cell, seed_params, xs, len(xs) // WARMUP))
        logs = np.asarray(diagnostics.jacobian_singular_values(cell, seed_params, xs, lags))
        shares = diagnostics.saturation(cell, seed_params, batch.inputs)
        seeds.append((np.mean(exponents, axis=0), np.mean(logs, axis=1), shares))
    spectrum, singular, shares = stack_seeds(seeds)
    return {
        "lyapunov": spectrum,
        "log_singular_values": singular,
        "reach": reach,
        "horizon": diagnostics.effective_horizon(reach),
        **{f"saturation/{op}/{n}": v for op, each in shares.items() for n, v in each._asdict().items()},
    }
