"""Runs on disk: how experiments write what the doctor needs, and how it is read back. The format stands only here.

A folder holds `results.json`, with one flat record a seed of a run under "results", and `arrays.npz`. NAME is the
run's, as in the records' field `run`; MOMENT is `before` or `after` training. An experiment may leave anything out but
`run` and `seed`, and write more beside it.

    record   run, seed, baseline, dependency, optimizer, clip, solved, MOMENT/loss and the other metrics
    arrays   NAME/training/loss, grad_norm, clipped          [seeds, steps]
             NAME/training/grad_norms/PARAMETER              [seeds, steps]
             NAME/MOMENT/last_step/total                     [seeds, lags]   the reach; other losses and components
             NAME/MOMENT/saturation/NONLINEARITY/SHARE       [seeds]         of `diagnostics.Saturation`
             NAME/MOMENT/not_finite/PARAMETER                [seeds]         numbers that are NaN or infinite
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.flags import UserError
from rnn_jax import tasks, training
from rnn_jax.diagnostics import Evidence, Saturation, Snapshot


def record(
    name: str,
    seed: int,
    task: tasks.Task,
    trainer: training.Trainer,
    metrics: Mapping[str, Mapping[str, float]],
    solved: bool,
) -> dict[str, Any]:
    """The fields of one seed's record that every experiment shares.

    Args:
      name: the run's, the same for all of its seeds.
      seed: its place in the arrays.
      task: gives baseline and dependency.
      trainer: gives optimizer and clipping.
      metrics: moment -> metric -> value, on the test set.
      solved: whether the task's criterion is met.
    """
    return {
        "run": name,
        "seed": seed,
        "baseline": task.baseline,
        "dependency": task.dependency,
        "optimizer": repr(trainer.optimizer),
        "clip": None if trainer.clip is None else repr(trainer.clip),
        "solved": solved,
        **{f"{moment}/{metric}": value for moment, each in metrics.items() for metric, value in each.items()},
    }


def training_arrays(name: str, history: training.StepMetrics) -> dict[str, np.ndarray]:
    """The arrays of a training, [seeds, steps]."""
    arrays = {f"{name}/training/{k}": np.asarray(v) for k, v in history._asdict().items() if k != "grad_norms"}
    return arrays | {f"{name}/training/grad_norms/{k}": np.asarray(v) for k, v in history.grad_norms.items()}


def solved_seeds(task: tasks.Task, metrics: Mapping[str, np.ndarray]) -> list[bool]:
    """Returns whether each seed meets the task's criterion, by metrics [seeds] over the test set."""
    seeds = range(len(metrics["loss"]))
    return [bool(task.solved({name: float(values[seed]) for name, values in metrics.items()})) for seed in seeds]


def divergence_fields(history: training.StepMetrics, seed: int) -> dict[str, Any]:
    """Returns `diverged`, and `diverged_at`: the step, counted from 1, from which loss or gradient is not finite."""
    bad = ~(np.isfinite(history.loss[seed]) & np.isfinite(history.grad_norm[seed]))
    if not bad[-1]:  # the seed recovered, or was finite throughout
        return {"diverged": False, "diverged_at": None}
    return {"diverged": True, "diverged_at": int(np.max(np.flatnonzero(~bad), initial=-1)) + 2}


def moment_arrays(
    name: str,
    moment: str,
    reach: Mapping[str, Mapping[str, np.ndarray]],
    saturation: Mapping[str, Saturation],
    not_finite: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """The arrays of what is measured before or after training.

    Args:
      name: the run's.
      moment: `before` or `after`.
      reach: of `diagnostics.gradient_reach`, [seeds, lags].
      saturation: of `diagnostics.saturation`, every share [seeds].
      not_finite: of `diagnostics.not_finite`, [seeds].
    """
    at = f"{name}/{moment}"
    return {
        **{f"{at}/{loss}/{component}": norms for loss, each in reach.items() for component, norms in each.items()},
        **{f"{at}/saturation/{op}/{k}": v for op, shares in saturation.items() for k, v in shares._asdict().items()},
        **{f"{at}/not_finite/{parameter}": count for parameter, count in not_finite.items()},
    }


def read(workdir: str) -> dict[str, dict[int, Evidence]]:
    """The evidence of every seed of every run in a folder: {run: {seed: evidence}}.

    Raises:
      UserError: where there is no folder, or no finished run in it, or its files are damaged.
    """
    folder = Path(workdir)
    if not folder.is_dir():
        raise UserError(f"--workdir {workdir!r}: no such folder")
    records, arrays = _records(folder / "results.json"), _arrays(folder / "arrays.npz")
    found: dict[str, dict[int, Evidence]] = {}
    for each in records:
        try:
            found.setdefault(each["run"], {})[each["seed"]] = _evidence(each, arrays)
        except (LookupError, TypeError, ValueError) as error:
            raise UserError(
                f"{folder}: results.json and arrays.npz do not fit together at run {each.get('run')!r}, "
                f"seed {each.get('seed')!r}: {type(error).__name__}: {error}"
            ) from error
    return found


def _records(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; is {str(path.parent)!r} the --workdir of a run?")
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:  # bad UTF-8 too
        raise UserError(f"{path} cannot be read: {error}") from error
    records = content.get("results") if isinstance(content, dict) else None
    known = isinstance(records, list) and all(isinstance(r, dict) and {"run", "seed"} <= set(r) for r in records)
    if not records or not known:
        raise UserError(f"{path} holds no run that the doctor can read: it wants records with the fields run and seed")
    return records


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; the run has not finished, its arrays are written at the end")
    try:
        with np.load(path) as content:
            return dict(content)
    except (OSError, ValueError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _evidence(fields: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Evidence:
    """Of one seed; what is not there is None."""
    seed, name = fields["seed"], fields["run"]

    def number(field: str) -> float | None:
        value = fields.get(field)
        return None if value is None else float(value)  # NaN and the infinities are strings in JSON

    def array(key: str) -> np.ndarray | None:
        return arrays[f"{name}/{key}"][seed] if f"{name}/{key}" in arrays else None

    def under(key: str) -> dict[str, np.ndarray]:
        start = f"{name}/{key}/"
        return {k.removeprefix(start): v[seed] for k, v in arrays.items() if k.startswith(start)}

    def shares(moment: str) -> dict[str, Saturation]:
        found = under(f"{moment}/saturation")
        names = dict.fromkeys(key.rpartition("/")[0] for key in found)
        each: dict[str, list[Any]] = {op: [found[f"{op}/{share}"] for share in Saturation._fields] for op in names}
        return {op: Saturation(*values) for op, values in each.items()}

    def look(moment: str) -> Snapshot:
        return Snapshot(
            reach=array(f"{moment}/last_step/total"),
            saturation=shares(moment),
            not_finite={parameter: int(count) for parameter, count in under(f"{moment}/not_finite").items()},
            loss=number(f"{moment}/loss"),
        )

    loss, before, now = array("training/loss"), look("before"), look("after")
    if loss is None and now.reach is None:  # never trained: as it was before is as it is
        before, now = Snapshot(), before
    dependency = number("dependency")
    return Evidence(
        baseline=number("baseline"),
        dependency=None if dependency is None else int(dependency),
        solved=fields.get("solved"),
        optimizer=fields.get("optimizer"),
        clip=fields.get("clip"),
        loss=loss,
        grad_norm=array("training/grad_norm"),
        grad_norms=under("training/grad_norms"),
        clipped=array("training/clipped"),
        before=before,
        now=now,
    )
