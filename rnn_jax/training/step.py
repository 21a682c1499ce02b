"""One optimization step: from a gradient to new parameters, unless loss, gradient or they are NaN or infinite."""

import dataclasses
import functools
import math
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import optax

from rnn_jax import checks, mesh, norms, static
from rnn_jax.gradients import BPTT, Estimator
from rnn_jax.seeds import check_keys, over_seeds
from rnn_jax.static import Static
from rnn_jax.training import optimizers
from rnn_jax.training.clipping import Clipping
from rnn_jax.training.not_finite import NotFinite, Stop
from rnn_jax.training.optimizers import Optimizer
from rnn_jax.trees import floats, named_leaves


class Model(Protocol):
    """A model that can be trained: a frozen dataclass with `init`; the source of batches needs the rest of it."""

    def init(self, key: jax.Array) -> Any: ...


M = TypeVar("M", bound=Model)


@dataclasses.dataclass(frozen=True)
class Trainer(Static, Generic[M]):
    """Everything about a training that is fixed. It is compared by value, so an equal trainer is not compiled again.

    Args:
      model: a `ReadoutModel` for tasks and streams; any model with `init` for examples, whose loss calls it.
      batch_size: number of sequences in a batch.
      optimizer: optimizer of this package, or a `GradientTransformation` of optax; see `Optax`.
      clip: gradient clipping; None for no clipping.
      estimator: estimator of the gradient; on a task, each batch is one segment.
      not_finite: policy for a seed whose loss, gradient or update is NaN or infinite.

    Raises:
      ValueError: if batch_size is not a positive integer.
      TypeError: if the optimizer is none.

    >>> from rnn_jax import GRU, models, training
    >>> model = models.ReadoutModel(GRU(2, 8), 1)
    >>> trainer = training.Trainer(model, 16, training.Adam(0.01), training.ClipByNorm(1.0))
    >>> trainer.parameters
    281
    """

    model: M
    batch_size: int
    optimizer: Optimizer
    clip: Clipping | None
    estimator: Estimator = BPTT()
    not_finite: NotFinite = Stop()

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.batch_size, "Trainer: batch_size")
        optimizers.transformation(self.optimizer)

    @functools.cached_property
    def parameters(self) -> int:
        """The number of trained parameters of one seed."""
        shapes = jax.eval_shape(self.model.init, jax.random.key(0))
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))

    @property
    def transformations(self) -> tuple[optax.GradientTransformation, optax.GradientTransformationExtraArgs]:
        """The clipping, which has no state, and the optimizer, as optax transformations."""
        clip = optax.identity() if self.clip is None else self.clip.transformation
        optimizer = optimizers.transformation(self.optimizer)
        # Parameters are updated as one vector, as each of a cell's many small arrays would cost kernels of its own.
        # Over a `model` axis the arrays are large, and would have to be gathered into that vector.
        flat = optimizers.is_elementwise(self.optimizer) and mesh.size("model") == 1
        return clip, optax.flatten(optimizer) if flat else optimizer


class TrainState(NamedTuple):
    """Parameters, optimizer state and counters. With seeds, every leaf has a leading [seeds] axis."""

    params: Any
    opt_state: Any
    key: jax.Array  # draws all later batches and noise
    step: jax.Array  # optimization steps done
    diverged: jax.Array  # whether training has ended because a loss, gradient or update was not finite
    rate: jax.Array  # factor of the learning rate; 1 until `RollBack` reduces it
    skipped: jax.Array  # number of updates skipped because they, the loss or gradient were not finite
    rolled_back: jax.Array  # number of times that `RollBack` was applied


class StepMetrics(NamedTuple):
    """Metrics of every step, [seeds, steps]. After a seed has diverged they are NaN and False."""

    loss: Any
    grad_norm: Any  # total norm before clipping; NaN if the update is not finite
    grad_norms: dict[str, Any]  # norm of each parameter's gradient before clipping, by name
    clipped: Any  # whether clipping changed the gradient; False if the update is not applied


@functools.partial(jax.jit, static_argnames="trainer")
def init(trainer: Trainer, keys: jax.Array) -> TrainState:
    """Initialises parameters, optimizer and counters of every seed.

    Args:
      trainer: model and optimizer; static.
      keys: one key for each seed, [seeds].

    Returns:
      The train state, [seeds, ...].

    Raises:
      ValueError: if there is not one key for each seed.
      TypeError: if a parameter is complex, as JAX's gradient of it is the conjugate of the direction of ascent.
    """
    static.refuse_class(trainer, "training.init: trainer")
    check_keys(keys, "training.init")
    _check_real(jax.eval_shape(trainer.model.init, jax.random.key(0)))
    mesh.check(trainer)

    def init_seed(key: jax.Array) -> TrainState:
        key_params, key_batches = jax.random.split(key)
        _, optimizer = trainer.transformations
        params = trainer.model.init(key_params)
        opt_state, zero = optimizer.init(params), jnp.array(0)
        state = TrainState(params, opt_state, key_batches, zero, jnp.array(False), jnp.array(1.0), zero, zero)
        return mesh.split_state(state)

    return over_seeds(init_seed, keys)


def check_state(state: Any, what: str) -> None:
    """Refuses anything but a train state of all seeds.

    Raises:
      TypeError: if it is no `TrainState`.
      ValueError: if it has no seeds axis.
    """
    if not isinstance(state, TrainState):
        got = type(state).__name__
        raise TypeError(f"{what}: state must be a TrainState, got {got}; pass training.init(trainer, keys)")
    if jnp.ndim(state.step) != 1:
        raise ValueError(
            f"{what}: state must be of all seeds, [seeds, ...], got step of shape {list(jnp.shape(state.step))}; pass "
            "training.init(trainer, keys)"
        )


def _check_real(params: Any) -> None:
    for path, leaf in jax.tree.leaves_with_path(params):
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            name = jax.tree_util.keystr(path)
            raise TypeError(
                f"training: params{name} must be real, got {leaf.dtype}: keep its two parts apart, as LRU does"
            )


def descend(
    trainer: Trainer, state: TrainState, key: jax.Array, loss: jax.Array, grads: Any
) -> tuple[TrainState, StepMetrics]:
    """Applies one clipped update to one seed; if anything of it is not finite, the parameters stay as they are.

    Args:
      trainer: clipping, optimizer and policy for NaN.
      state: train state of one seed.
      key: key of the new state.
      loss: loss, a scalar.
      grads: gradient, a pytree like the parameters.

    Returns:
      The new state and the metrics of the step, scalars.
    """
    clip, optimizer = trainer.transformations
    grad_norm, grad_norms = norms.total_and_each(grads)
    clipped, _ = clip.update(grads, clip.init(state.params), state.params)
    updates, opt_state = optimizer.update(clipped, state.opt_state, state.params, value=loss)
    scaled = jax.tree.map(lambda leaf: leaf * state.rate.astype(leaf.dtype), updates)
    params = optax.apply_updates(state.params, scaled)
    old, new = (state.params, state.opt_state), (params, opt_state)
    grad_norm = jnp.where(_overflows(old, new) & jnp.isfinite(grad_norm), jnp.nan, grad_norm)
    bad = ~jnp.isfinite(loss) | ~jnp.isfinite(grad_norm)
    diverged = state.diverged | (bad & trainer.not_finite.ends)
    params, opt_state = jax.tree.map(lambda new, old: jnp.where(diverged | bad, old, new), new, old)
    # A skipped step counts as done, so that a stream advances to its next segment.
    step = state.step + jnp.where(diverged, 0, 1)
    skipped = state.skipped + jnp.where(bad & ~state.diverged, 1, 0)
    # The step that diverges has metrics; those after it are NaN.
    nan_after = jnp.where(state.diverged, jnp.nan, 0)
    by_name = {name: each + nan_after for name, each in named_leaves(grad_norms).items()}
    changes = jax.tree.leaves(jax.tree.map(lambda a, b: jnp.any(a != b), clipped, grads))
    changed = ~diverged & ~bad & jnp.any(jnp.stack(changes))
    metrics = StepMetrics(loss + nan_after, grad_norm + nan_after, by_name, changed)
    return state._replace(
        params=params, opt_state=opt_state, key=key, step=step, diverged=diverged, skipped=skipped
    ), metrics


def _overflows(old: Any, new: Any) -> jax.Array:
    """Returns whether any value is finite in one tree and not in the other, which has the same structure."""
    pairs = zip(floats(old), floats(new), strict=True)
    return jnp.any(jnp.stack([jnp.any(jnp.isfinite(before) & ~jnp.isfinite(after)) for before, after in pairs]))
