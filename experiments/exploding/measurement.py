"""The gradient's growth at initialisation, measured and in theory, and which trainings stay finite.

    slope = d ln ||dL/ds_{T-k}|| / dk,      W_h = g W, act' <= 1:   slope <= ln(g sigma_max(W))   (Pascanu et al. 2013)

At rest, with no unit saturated, the slope is that of ||(g W)^k||_F: ln g for an orthogonal W. A linear network always
is. A ReLU network with half of its units on keeps half of the squared norm: ln(g / sqrt(2)), for random W. Norms that
float32 cannot hold are left out of a slope.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.moments import MEASURED_SEQUENCES, Moment, measure_moment, split_seeds
from experiments.common.records import divergence_fields, moment_arrays, solved_seeds, task_fields, training_arrays
from experiments.exploding.config import ACTIVATIONS, MATRICES, Plan, model
from rnn_jax import diagnostics, training
from rnn_jax.diagnostics import fit_decay, linearised_reach
from rnn_jax.seeds import fetch

LOG_POINTS = 5  # chunks of a training, after each of which progress is reported; one compiled program runs all
FINAL_SHARE = 6  # the last sixth of the steps is the end of a training

Measured = tuple[list[dict[str, Any]], dict[str, np.ndarray]]  # one flat record for each gain and seed; arrays


def with_gains(state: training.TrainState, gains: list[float]) -> training.TrainState:
    """Returns the same seeds at every gain, W_h <- g W_h: [seeds, ...] becomes [gains * seeds, ...]."""
    repeated = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * len(gains)), state)
    scale = jnp.repeat(jnp.asarray(gains), len(state.step))[:, None, None]
    cell = repeated.params.cell
    return repeated._replace(params=repeated.params._replace(cell=cell._replace(w_h=scale * cell.w_h)))


def measure_initial(plan: Plan, key: jax.Array) -> Measured:
    """Measures every kind of matrix with every activation, without training, on one batch of the task."""
    key_seeds, key_batch = jax.random.split(key)
    batch = plan.task.sample(key_batch, MEASURED_SEQUENCES)
    records, arrays = [], {}
    for matrix in MATRICES:
        trainer = dataclasses.replace(next(iter(plan.trainers.values())), model=model(plan.config, "tanh", matrix))
        state = training.init(trainer, jax.random.split(key_seeds, plan.config.seeds))
        params = with_gains(state, plan.gains).params
        largest = np.linalg.norm(np.asarray(state.params.cell.w_h, np.float64), ord=2, axis=(1, 2))
        for activation in ACTIVATIONS:
            network = model(plan.config, activation)
            norms = np.asarray(diagnostics.gradient_reach(network, plan.task, params, batch)["last_step"]["total"])
            linear = [linearised_reach(network.cell, p, norms.shape[-1]) for p in split_seeds(state.params.cell)]
            for gain, by_seed in zip(plan.gains, np.split(norms, len(plan.gains)), strict=True):
                run = f"initial/{matrix}/{activation}/gain {gain:g}"
                arrays[f"{run}/before/last_step/total"] = by_seed
                for seed, by_lag in enumerate(by_seed):
                    record = {"run": run, "seed": seed, "dependency": plan.task.dependency}
                    record |= {"matrix": matrix, "activation": activation, "gain": gain}
                    record |= {
                        "before/slope": fit_decay(by_lag).slope,
                        "before/largest_singular_value": gain * largest[seed],
                        "theory/bound": np.log(gain) + np.log(largest[seed]),
                        # g is a factor of every Jacobian at rest: ln g is added to the slope at gain 1.
                        "theory/at_rest": np.log(gain) + fit_decay(linear[seed]).slope,
                    }
                    records.append(record)
    return records, arrays


def measure_training(
    plan: Plan, unit: training.TrainState, key: jax.Array, names: tuple[str, str], session: training.Session
) -> Measured | None:
    """Trains W_h = g x orthogonal for every gain, from the same states `unit` of gain 1 and on the same batches.

    `names` are those of activation and clipping; `key` is that of the measured batches. Returns None if stopped.
    """
    key_measured, key_test = jax.random.split(key)
    trainer, steps, state = plan.trainers[names], plan.config.steps, with_gains(unit, plan.gains)
    batch = plan.task.sample(key_measured, MEASURED_SEQUENCES)
    before = measure_moment(trainer.model, plan.task, state.params, batch, key_test)
    progress = training.train(trainer, plan.task, state, steps, log_every=-(-steps // LOG_POINTS), session=session)
    if progress is None:
        return None
    params, seeds = progress.training.params, plan.config.seeds
    moments = {"before": before, "after": measure_moment(trainer.model, plan.task, params, batch, key_test)}
    singular = np.linalg.norm(fetch(params.cell.w_h), ord=2, axis=(1, 2))
    records, arrays = [], {}
    for i, gain in enumerate(plan.gains):
        rows, run = slice(i * seeds, (i + 1) * seeds), f"{'/'.join(names)}/gain {gain:g}"
        history, now = jax.tree.map(lambda leaf, rows=rows: leaf[rows], (progress.history, moments))
        arrays.update(training_arrays(run, history))
        for name, moment in now.items():
            arrays.update(moment_arrays(run, name, {"last_step": {"total": moment.total}}, moment.saturation, {}))
        for seed, sigma in enumerate(singular[rows]):
            fields = {"matrix": "orthogonal", "activation": names[0], "clipping": names[1], "gain": gain}
            fields |= {"steps": steps, "after/largest_singular_value": float(sigma)}
            records.append(_record(plan, trainer, run, seed, history, now) | fields)
    return records, arrays


def _record(
    plan: Plan, trainer: training.Trainer, run: str, seed: int, history: training.StepMetrics, now: dict[str, Moment]
) -> dict[str, Any]:
    losses, norms, divergence = history.loss[seed], history.grad_norm[seed], divergence_fields(history, seed)
    metrics, step = {name: moment.metrics for name, moment in now.items()}, divergence["diverged_at"]
    solved = not step and solved_seeds(plan.task, metrics["after"])[seed]
    record = task_fields(run, seed, plan.task, trainer, metrics, solved) | divergence
    if step:  # no name if only the total norm or the update was not finite
        not_finite = [name for name, each in history.grad_norms.items() if not np.isfinite(each[seed, step - 1])]
    (shares,) = now["after"].saturation.values()
    return (
        record
        | {
            "not_finite": not_finite if step else None,  # parameters whose own gradient was not finite at that step
            "end_loss": None if step else float(np.mean(losses[-max(1, len(losses) // FINAL_SHARE) :])),
            "largest_grad_norm": float(np.max(norms[np.isfinite(norms)], initial=0)),
            "clipped_percent": 100 * float(np.mean(history.clipped[seed, :step])),
            # Share at a bound of tanh, or at ReLU's zero, where ReLU starts at half.
            "after/shut": float(shares.low[seed] + shares.high[seed]),
        }
    )
