"""One run: trains all seeds of a cell and measures its dynamics at every checkpoint.

The state follows the task's inputs, s_t = step(s_{t-1}, x_t). Along it, J_t = ds_t/ds_{t-1}:

    lambda_i    Lyapunov exponents, growth per step of the i-th direction over the whole sequence
    sigma_i     singular values of J_T ... J_{T-k+1} = ds_T/ds_{T-k}
    reach       ||dL/ds_{T-k}||, of the loss at the last step
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from experiments.dynamics.config import MEASURED_SEQUENCES, Config, Run
from rnn_jax import diagnostics, initializers, tasks, training
from rnn_jax.seeds import fetch

TEST_BATCH = 256
WARMUP = 5  # the first fifth of a sequence counts nothing in its exponents


@dataclasses.dataclass(frozen=True)
class Look:
    """What is measured at one checkpoint; [seeds] first."""

    step: int  # optimization steps done
    lyapunov: np.ndarray  # [seeds, n] nats per step, descending; mean over sequences
    log_singular_values: np.ndarray  # [seeds, lags, n] of the lags in `lags_of`, descending; mean over sequences
    reach: np.ndarray  # [seeds, T], by lag
    horizon: np.ndarray  # [seeds] steps; `diagnostics.effective_horizon` of the reach
    saturation: dict[str, diagnostics.Saturation]  # nonlinearity -> shares [seeds]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """All that a run gave."""

    looks: list[Look]
    history: training.StepMetrics  # of NumPy arrays, [seeds, steps]
    metrics: dict[str, dict[str, np.ndarray]]  # moment -> on the test set, [seeds]


def lags_of(task: tasks.Task) -> list[int]:
    """1, 2, 5, 10, 20, ... up to the task's longest dependency, which comes last."""
    lags = [digit * 10**power for power in range(9) for digit in (1, 2, 5)]
    return [*(lag for lag in lags if lag < task.dependency), task.dependency]


def measure(run: Run, config: Config, session: training.Session) -> Outcome | None:
    """Trains and measures.

    Args:
      run: what to run.
      config: of the whole experiment.
      session: who is told, what ends it, where it is kept.

    Returns:
      The outcome; None where it was stopped.
    """
    key_seeds, key_measured, key_test = jax.random.split(jax.random.key(config.seed), 3)
    state = training.init(run.trainer, jax.random.split(key_seeds, config.seeds))
    # Initialisations of a cell share its compiled programs.
    trainer = initializers.without_initializers(run.trainer)
    batch = run.task.sample(key_measured, MEASURED_SEQUENCES)

    def test(params: Any) -> dict[str, np.ndarray]:
        return training.evaluate(trainer.model, run.task, params, key_test, TEST_BATCH)

    before, first = test(state.params), _look(trainer, config, run.task, state.params, batch, 0)
    progress = training.train(
        trainer,
        run.task,
        state,
        config.steps // run.steps * run.steps,
        log_every=run.steps,
        evaluate=lambda now: _arrays(_look(trainer, config, run.task, now.training.params, batch, now.steps)),
        eval_every=run.steps,
        session=session,
    )
    if progress is None:
        return None
    looks = [first, *(_of_arrays(progress, place) for place in range(len(progress.eval_steps)))]
    return Outcome(looks, progress.history, {"before": before, "after": test(progress.training.params)})


def _arrays(look: Look) -> dict[str, np.ndarray]:
    """A look as curves have it: [seeds, ...] by name."""
    shares = {f"{op} {n}": v for op, each in look.saturation.items() for n, v in each._asdict().items()}
    found = {name: getattr(look, name) for name in ("lyapunov", "log_singular_values", "reach", "horizon")}
    return found | shares


def _of_arrays(progress: training.Progress, place: int) -> Look:
    curves = {name: values[:, place] for name, values in progress.curves.items()}
    measured = {n: curves.pop(n) for n in ("lyapunov", "log_singular_values", "reach", "horizon")}
    ops = dict.fromkeys(name.rpartition(" ")[0] for name in curves)
    shares: dict[str, list[Any]] = {op: [curves[f"{op} {n}"] for n in diagnostics.Saturation._fields] for op in ops}
    saturation = {op: diagnostics.Saturation(*each) for op, each in shares.items()}
    return Look(int(progress.eval_steps[place]), **measured, saturation=saturation)


def _look(
    trainer: training.Trainer, config: Config, task: tasks.Task, params: Any, batch: tasks.Batch, step: int
) -> Look:
    cell, lags = trainer.model.cell, lags_of(task)
    reach = fetch(diagnostics.gradient_reach(trainer.model, task, params, batch)["last_step"]["total"])
    reach = reach[:, : diagnostics.common_lags(batch)]
    cells = fetch(params.cell)
    xs = batch.inputs[:, : config.sequences]
    each = []
    for seed in range(config.seeds):
        own = jax.tree.map(lambda leaf, s=seed: leaf[s], cells)
        # Each is fetched before the next is begun: both have QR decompositions (see `parallel`).
        exponents = np.asarray(diagnostics.lyapunov_spectrum(cell, own, xs, len(xs) // WARMUP))
        logs = np.asarray(diagnostics.jacobian_singular_values(cell, own, xs, lags))
        shares = diagnostics.saturation(cell, own, batch.inputs)
        each.append((np.mean(exponents, axis=0), np.mean(logs, axis=1), shares))
    spectrum, singular, saturation = jax.tree.map(lambda *seeds: np.stack(seeds), *each)
    return Look(step, spectrum, singular, reach, diagnostics.effective_horizon(reach), saturation)
