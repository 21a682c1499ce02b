"""The evidence that the doctor reads about one seed, from the records of a run or from a live model."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.cell import Cell
from rnn_jax.diagnostics.parallel_in_time import Parallelizability, parallelizability
from rnn_jax.diagnostics.reach import gradient_reach
from rnn_jax.diagnostics.saturated_units import Saturation, saturation
from rnn_jax.engines import Engine, Hoisted, Newton
from rnn_jax.models import ReadoutModel
from rnn_jax.tasks import Batch, Task
from rnn_jax.trees import named_leaves


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """Measurements of a network at one moment of its training; None if unknown, and checks that need it are skipped.

    Args:
      reach: ||dL/ds_{T-k}|| [lags] of all components of the state, L the loss of the last step (`gradient_reach`).
      saturation: shares of saturated values by nonlinearity (`saturation`).
      not_finite: number of NaN and infinite entries by parameter, and of the batch as `inputs`.
      loss: loss on the test set, or on the batch of a live model.
      parallelizability: whether `Newton` suits a network that is trained by it (`parallelizability`).
    """

    reach: np.ndarray | None = None
    saturation: Mapping[str, Saturation] | None = None
    not_finite: Mapping[str, int] | None = None
    loss: float | None = None
    parallelizability: Parallelizability | None = None


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All measurements of one seed; None if unknown.

    Args:
      baseline: loss of the best answer that ignores earlier inputs (`Task.baseline`).
      dependency: longest lag between an input and the output that needs it (`Task.dependency`).
      solved: whether the task's criterion is met.
      optimizer, clip: their representations, to be quoted in remedies: `Adam(learning_rate=0.01)`.
      user_cell: name of the innermost cell that is not of this package, whose options no remedy can name; None if all
        are of this package.
      loss: training loss [steps]; as every curve, NaN after the step that diverged.
      grad_norm: gradient norm before clipping [steps].
      grad_norms: gradient norm [steps] by parameter.
      clipped: whether clipping changed the gradient of a step [steps].
      before: measurements before training.
      now: measurements after the last step, or of a live model; if the run diverged, of the parameters before it did.
    """

    baseline: float | None = None
    dependency: int | None = None
    solved: bool | None = None
    optimizer: str | None = None
    clip: str | None = None
    user_cell: str | None = None
    loss: np.ndarray | None = None
    grad_norm: np.ndarray | None = None
    grad_norms: Mapping[str, np.ndarray] | None = None
    clipped: np.ndarray | None = None
    before: Snapshot = Snapshot()
    now: Snapshot = Snapshot()

    @property
    def steps(self) -> int:
        """Number of training steps requested; 0 for a live model."""
        return 0 if self.loss is None else len(self.loss)

    @property
    def finite_steps(self) -> int:
        """Number of training steps before the first one whose loss or gradient is not finite."""
        if self.loss is None:
            return 0
        finite = np.isfinite(self.loss) & (True if self.grad_norm is None else np.isfinite(self.grad_norm))
        return self.steps if finite.all() else int(np.argmin(finite))

    @property
    def has_measurements(self) -> bool:
        """Whether anything was measured in training or of the network: False for a baseline such as an n-gram model."""
        curves = (self.loss, self.grad_norm, self.clipped, self.before.reach, self.now.reach)
        others = (self.grad_norms, *(m for s in (self.before, self.now) for m in (s.saturation, s.not_finite)))
        return any(curve is not None for curve in curves) or any(others)


def examine(model: ReadoutModel, task: Task, params: Any, batch: Batch, engine: Engine = Hoisted()) -> Evidence:
    """Measures a live model on one batch: gradient reach, saturation, entries that are not finite, and loss.

    Args:
      model: the cell and its readout; static.
      task: definition of the loss, its baseline and the dependency.
      params: parameters of one seed, from `model.init(key)` or trained.
      batch: batch of the task, from `task.sample(key, batch_size)`.
      engine: engine of its training; of `Newton`, whether the network's dynamics suit it is measured.

    Returns:
      An `Evidence` with the measurements as `now`, and without curves of a training.
    """
    lags = common_lags(batch)
    one_seed = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], params)
    reach = gradient_reach(model, task, one_seed, batch)
    now = Snapshot(
        reach=np.asarray(reach["last_step"]["total"])[0, :lags],
        saturation=jax.device_get(saturation(model.cell, params.cell, batch.inputs)),
        not_finite=not_finite(params) | not_finite({"inputs": batch.inputs}),
        loss=float(_loss(model, task, params, batch)),
        parallelizability=(
            parallelizability(model.cell, params.cell, batch.inputs, engine=engine)
            if isinstance(engine, Newton)
            else None
        ),
    )
    return Evidence(baseline=task.baseline, dependency=task.dependency, user_cell=_user_cell(model.cell), now=now)


def _user_cell(value: Any) -> str | None:
    """Returns the name of the innermost user-defined cell in a cell, a layer or a tuple of them; None if none is."""
    inside = value if isinstance(value, tuple) else vars(value).values() if isinstance(value, Cell) else ()
    names = [name for each in inside if (name := _user_cell(each))]
    if names or not isinstance(value, Cell) or type(value).__module__.startswith("rnn_jax."):
        return names[0] if names else None
    return type(value).__name__


@functools.partial(jax.jit, static_argnames="model")
def _loss(model: ReadoutModel, task: Task, params: Any, batch: Batch) -> jax.Array:
    return task.loss(model.apply(params, batch.inputs, key=None)[1], batch)


def not_finite(tree: Any) -> dict[str, int]:
    """Returns the number of NaN and infinite entries of each leaf, by its name (`cell.w_h`)."""
    return {name: int(np.sum(~np.isfinite(np.asarray(leaf)))) for name, leaf in named_leaves(tree).items()}


def common_lags(batch: Batch) -> int:
    """Returns the number of lags that all sequences have, counted back from their last step of positive weight."""
    read = np.asarray(batch.weights) > 0
    return read.shape[0] - int(np.max(np.argmax(read[::-1], axis=0)))
