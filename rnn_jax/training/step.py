"""One optimization step, and all of a run that it changes: from a gradient to parameters, unless it diverges."""

import dataclasses
import functools
import math
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import optax

from rnn_jax import checks, mesh
from rnn_jax.gradients import BPTT, Estimator
from rnn_jax.seeds import over_seeds
from rnn_jax.training.clipping import Clipping
from rnn_jax.training.not_finite import NotFinite, Stop
from rnn_jax.training.optimizers import Optimizer


class Model(Protocol):
    """What can be trained: a frozen dataclass; what else it has, the loop that trains it knows."""

    def init(self, key: jax.Array) -> Any: ...


M = TypeVar("M", bound=Model)


@dataclasses.dataclass(frozen=True)
class Trainer(Generic[M]):
    """What is fixed over a run; compared by value, so that an equal trainer is compiled once.

    Args:
      model: the cell and its readout, for tasks and streams; any model with a loss for examples.
      batch_size: sequences a step.
      optimizer: what makes a step of a gradient.
      clip: what keeps large gradients from the optimizer; None: nothing.
      estimator: of the gradient, each batch of sequences one stretch.
      not_finite: what becomes of a seed whose loss or gradient is NaN or infinite.

    Raises:
      ValueError: where batch_size is not a positive integer.
    """

    model: M
    batch_size: int
    optimizer: Optimizer
    clip: Clipping | None
    estimator: Estimator = BPTT()
    not_finite: NotFinite = Stop()

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.batch_size, "Trainer: batch_size")

    @property
    def parameters(self) -> int:
        """Numbers that a seed learns."""
        shapes = jax.eval_shape(self.model.init, jax.random.key(0))
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))

    @property
    def transformations(self) -> tuple[optax.GradientTransformation, optax.GradientTransformation]:
        """Of optax: the clipping, which has no state, and the optimizer."""
        clip = optax.identity() if self.clip is None else self.clip.transformation
        optimizer = self.optimizer.transformation
        # As one vector: a cell's many small arrays would each cost kernels of their own. Split over devices they are
        # large, and would be gathered into it.
        return clip, optimizer if mesh.size("model") > 1 else optax.flatten(optimizer)


class TrainState(NamedTuple):
    """All of a run that changes. With seeds, every leaf has a leading [seeds] axis."""

    params: Any
    opt_state: Any
    key: jax.Array  # of the batches and noise still to be drawn
    step: jax.Array  # optimization steps done
    diverged: jax.Array  # whether training has ended: a loss or gradient norm was NaN or infinite
    rate: jax.Array  # what the learning rate is multiplied by; 1 until `RollBack` makes it less
    skipped: jax.Array  # updates skipped because the loss or gradient was not finite
    rolled_back: jax.Array  # how often by `RollBack`


class StepMetrics(NamedTuple):
    """Recorded at every step; [seeds, steps]. NaN and False after a run has diverged."""

    loss: Any
    grad_norm: Any  # global, before clipping
    grad_norms: dict[str, Any]  # of each parameter by its name, before clipping
    clipped: Any  # whether clipping changed anything


def named_leaves(tree: Any) -> dict[str, Any]:
    """A pytree's leaves by their names: `cell.w_h`, `readout.params.kernel`."""
    leaves = jax.tree.leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


@functools.partial(jax.jit, static_argnames="trainer")
def init(trainer: Trainer, keys: jax.Array) -> TrainState:
    """Fresh states for the seeds of `keys` [seeds].

    Raises:
      TypeError: where a parameter is complex: JAX's gradient of it is the conjugate of the direction of ascent.
    """
    for path, leaf in jax.tree.leaves_with_path(jax.eval_shape(trainer.model.init, jax.random.key(0))):
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            name = jax.tree_util.keystr(path)
            raise TypeError(
                f"training: params{name} must be real, got {leaf.dtype}: keep its two parts apart, as LRU does"
            )

    mesh.check(trainer)

    def init_one(key: jax.Array) -> TrainState:
        key_params, key_batches = jax.random.split(key)
        _, optimizer = trainer.transformations
        params = trainer.model.init(key_params)
        opt_state, none = optimizer.init(params), jnp.array(0)
        state = TrainState(params, opt_state, key_batches, none, jnp.array(False), jnp.array(1.0), none, none)
        return mesh.split_state(state)

    return over_seeds(init_one, keys)


def descend(
    trainer: Trainer, state: TrainState, key: jax.Array, loss: jax.Array, grads: Any
) -> tuple[TrainState, StepMetrics]:
    """The state after a step down the gradient, clipped; as it was before where loss or gradient is not finite.

    Args:
      trainer: gives clipping, optimizer, and what else becomes of the seed then.
      state: of one seed.
      key: what the new state holds.
      loss: scalar.
      grads: like the parameters.
    """
    clip, optimizer = trainer.transformations
    grad_norm = optax.tree.norm(grads)
    clipped, _ = clip.update(grads, clip.init(state.params), state.params)
    updates, opt_state = optimizer.update(clipped, state.opt_state, state.params)
    scaled = jax.tree.map(lambda leaf: leaf * state.rate.astype(leaf.dtype), updates)
    params = optax.apply_updates(state.params, scaled)
    bad = ~jnp.isfinite(loss) | ~jnp.isfinite(grad_norm)
    diverged = state.diverged | (bad & trainer.not_finite.ends)
    params, opt_state = jax.tree.map(
        lambda new, old: jnp.where(diverged | bad, old, new), (params, opt_state), (state.params, state.opt_state)
    )
    # A step that was left out counts as done, so that a stream is read on.
    step = state.step + jnp.where(diverged, 0, 1)
    skipped = state.skipped + jnp.where(bad & ~state.diverged, 1, 0)
    # At the step that diverges the metrics say how; after it there is nothing to record.
    nan_after = jnp.where(state.diverged, jnp.nan, 0)
    norms = {name: jnp.linalg.norm(g) + nan_after for name, g in named_leaves(grads).items()}
    changes = jax.tree.leaves(jax.tree.map(lambda a, b: jnp.any(a != b), clipped, grads))
    changed = ~diverged & jnp.any(jnp.stack(changes))
    metrics = StepMetrics(loss + nan_after, grad_norm + nan_after, norms, changed)
    return state._replace(
        params=params, opt_state=opt_state, key=key, step=step, diverged=diverged, skipped=skipped
    ), metrics
