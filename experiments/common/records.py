"""Names of the records and arrays that a finished run holds; `evidence` reads them back for the doctor.

results.json has a list "results" of flat records, one for each seed of a run. arrays.npz has arrays by name. NAME is a
record's field `run`; MOMENT is `before` or `after` training. An experiment may leave out everything except `run` and
`seed`, and may add more.

    record   run, seed, baseline, dependency, optimizer, clip, solved, MOMENT/loss and other metrics
    arrays   NAME/training/loss, grad_norm, clipped          [seeds, steps]
             NAME/training/grad_norms/PARAMETER              [seeds, steps]
             NAME/MOMENT/LOSS/COMPONENT                      [seeds, lags]   gradient norms; the doctor: last_step/total
             NAME/MOMENT/saturation/NONLINEARITY/SHARE       [seeds]         shares of `diagnostics.Saturation`
             NAME/MOMENT/not_finite/PARAMETER                [seeds]         number of NaN and infinities
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnn_jax import tasks, training
from rnn_jax.diagnostics import Saturation


def task_fields(
    name: str,
    seed: int,
    task: tasks.Task,
    trainer: training.Trainer,
    metrics: Mapping[str, Mapping[str, np.ndarray]],
    solved: bool,
) -> dict[str, Any]:
    """Returns the fields that describe one seed of a network trained on a task.

    Args:
      name: name of the run, the same for all of its seeds.
      seed: index of the seed in the arrays.
      task: task, which has a baseline and a dependency.
      trainer: trainer, which has an optimizer and a clipping.
      metrics: moment -> metric -> values [seeds] on the test set.
      solved: whether the seed meets the task's criterion.
    """
    return {
        "run": name,
        "seed": seed,
        "baseline": task.baseline,
        "dependency": task.dependency,
        "optimizer": repr(trainer.optimizer),
        "clip": None if trainer.clip is None else repr(trainer.clip),
        "solved": solved,
        **{f"{moment}/{metric}": float(v[seed]) for moment, each in metrics.items() for metric, v in each.items()},
    }


def solved_seeds(task: tasks.Task, metrics: Mapping[str, np.ndarray]) -> list[bool]:
    """Returns whether each seed meets the task's criterion, by metrics [seeds] on the test set."""
    seeds = range(len(metrics["loss"]))
    return [bool(task.solved({name: float(values[seed]) for name, values in metrics.items()})) for seed in seeds]


def divergence_fields(history: training.StepMetrics, seed: int) -> dict[str, Any]:
    """Returns `diverged`, and `diverged_at`: the step, counted from 1, from which loss or gradient is not finite."""
    bad = ~(np.isfinite(history.loss[seed]) & np.isfinite(history.grad_norm[seed]))
    if not bad[-1]:  # the seed recovered, or was finite throughout
        return {"diverged": False, "diverged_at": None}
    return {"diverged": True, "diverged_at": int(np.max(np.flatnonzero(~bad), initial=-1)) + 2}


def training_arrays(name: str, history: training.StepMetrics) -> dict[str, np.ndarray]:
    """Returns the curves [seeds, steps] of the run `name` over its optimization steps."""
    arrays = {f"{name}/training/{k}": np.asarray(v) for k, v in history._asdict().items() if k != "grad_norms"}
    return arrays | {f"{name}/training/grad_norms/{k}": np.asarray(v) for k, v in history.grad_norms.items()}


def moment_arrays(
    name: str,
    moment: str,
    reach: Mapping[str, Mapping[str, np.ndarray]],
    saturation: Mapping[str, Saturation],
    not_finite: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Returns the arrays of measurements before or after training.

    Args:
      name: name of the run.
      moment: `before` or `after`.
      reach: loss -> component -> gradient norms [seeds, lags], from `diagnostics.gradient_reach`.
      saturation: nonlinearity -> shares [seeds], from `diagnostics.saturation`.
      not_finite: parameter -> number of NaN and infinities [seeds], from `diagnostics.not_finite`.
    """
    at = f"{name}/{moment}"
    return {
        **{f"{at}/{loss}/{component}": norms for loss, each in reach.items() for component, norms in each.items()},
        **{f"{at}/saturation/{op}/{k}": v for op, shares in saturation.items() for k, v in shares._asdict().items()},
        **{f"{at}/not_finite/{parameter}": count for parameter, count in not_finite.items()},
    }
