"""What is known of one seed: the evidence that the doctor reads, from a run's curves or from a live model."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.diagnostics.reach import gradient_reach
from rnn_jax.diagnostics.saturated_units import Saturation, saturation
from rnn_jax.models import ReadoutModel
from rnn_jax.tasks import Batch, Task


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What is measured at one moment of a run. None: not known, and no check that needs it speaks.

    Args:
      reach: ||dL/ds_{T-k}|| [lags], L read at the last step, all of the state together (`gradient_reach`).
      saturation: of each nonlinearity of the step (`saturation`).
      not_finite: how many numbers are NaN or infinite, by parameter; those of the batch as `inputs`.
      loss: over the test set, or over the batch of a live model.
    """

    reach: np.ndarray | None = None
    saturation: Mapping[str, Saturation] | None = None
    not_finite: Mapping[str, int] | None = None
    loss: float | None = None


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What is known of one seed. None: not known.

    Args:
      baseline: the loss of the best answer that ignores the past (`Task.baseline`).
      dependency: the longest lag between an input and the output that needs it (`Task.dependency`).
      solved: whether the task's criterion is met.
      optimizer, clip: how they print, for the words: `Adam(learning_rate=0.01)`, `ClipByNorm(limit=1.0)`.
      loss: of every training step [steps]; as all curves, NaN after the step that diverged.
      grad_norm: of the gradient before clipping [steps].
      grad_norms: of each parameter's [steps], by its name.
      clipped: whether clipping changed a step's gradient [steps].
      before: before training.
      now: after the last step, or of a live model; of a run that diverged, the parameters from before it did.
    """

    baseline: float | None = None
    dependency: int | None = None
    solved: bool | None = None
    optimizer: str | None = None
    clip: str | None = None
    loss: np.ndarray | None = None
    grad_norm: np.ndarray | None = None
    grad_norms: Mapping[str, np.ndarray] | None = None
    clipped: np.ndarray | None = None
    before: Snapshot = Snapshot()
    now: Snapshot = Snapshot()

    @property
    def steps(self) -> int:
        """Training steps that were asked for; 0 of a live model."""
        return 0 if self.loss is None else len(self.loss)

    @property
    def sound_steps(self) -> int:
        """Training steps until the first whose loss or gradient was not finite."""
        if self.loss is None:
            return 0
        finite = np.isfinite(self.loss) & (True if self.grad_norm is None else np.isfinite(self.grad_norm))
        return self.steps if finite.all() else int(np.argmin(finite))


def examine(model: ReadoutModel, task: Task, params: Any, batch: Batch) -> Evidence:
    """The evidence of a live model: its reach, saturation, numbers and loss on one batch.

    Args:
      model: the cell and its readout.
      task: gives the loss, its baseline and the dependency.
      params: of one seed, `model.init(key)` or trained.
      batch: of the task, `task.sample(key, batch_size)`.

    Returns:
      An `Evidence` whose `now` is known, and no curve of a training.
    """
    lags = common_lags(batch)
    # One seed of many: the reach is measured over seeds.
    reach = gradient_reach(model, task, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], params), batch)
    now = Snapshot(
        reach=np.asarray(reach["last_step"]["total"])[0, :lags],
        saturation=jax.device_get(saturation(model.cell, params.cell, batch.inputs)),
        not_finite=not_finite(params) | not_finite({"inputs": batch.inputs}),
        loss=float(_loss(model, task, params, batch)),
    )
    return Evidence(baseline=task.baseline, dependency=task.dependency, now=now)


@functools.partial(jax.jit, static_argnames="model")
def _loss(model: ReadoutModel, task: Task, params: Any, batch: Batch) -> jax.Array:
    return task.loss(model.apply(params, batch.inputs)[1], batch)


def not_finite(tree: Any) -> dict[str, int]:
    """How many numbers of each leaf are NaN or infinite, by its name (`cell.w_h`)."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): int(np.sum(~np.isfinite(np.asarray(leaf))))
        for path, leaf in jax.tree.leaves_with_path(tree)
    }


def common_lags(batch: Batch) -> int:
    """How many lags every sequence of a batch has, counted back from its last step of positive weight."""
    read = np.asarray(batch.weights) > 0
    return read.shape[0] - int(np.max(np.argmax(read[::-1], axis=0)))
