"""The contract of a task: batches that depend on their key, a loss and metrics of scored steps only, a baseline."""

import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.tasks import Batch, Task, user_defined
from rnn_jax.testing.comparison import Check, require, require_close, require_value, run_all

SEQUENCES = 64

Property = Callable[[Task], None]


def value(task: Task) -> None:
    """A task is a hashable value, and an argument of compiled programs."""
    require_value(task)
    arrays = all(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(task))
    name = type(task).__name__
    require(arrays, f"{name} must be a pytree; write @jax.tree_util.register_static above its dataclass decorator")


def sizes(task: Task) -> None:
    """Batches and metrics have the sizes and names that the task states, and classes are below `output_size`."""
    name, batch = type(task).__name__, _batch(task)
    problem = user_defined.contradiction(task)
    require(not problem, f"{name}: {problem}")
    if jnp.issubdtype(batch.targets.dtype, jnp.integer):
        least, most = int(batch.targets.min()), int(batch.targets.max())
        inside = least >= 0 and most < task.output_size
        require(inside, f"{name}: classes must be from 0 to output_size - 1, got {least} to {most}")
    inside = 0 < task.dependency < task.sequence_length
    require(inside, f"{name}.dependency must be from 1 to T - 1, got {task.dependency}")


def numbers(task: Task) -> None:
    """Inputs are finite floats, weights are at least 0, and every sequence has a step with a weight."""
    name, batch = type(task).__name__, _batch(task)
    floating = jnp.issubdtype(batch.inputs.dtype, jnp.floating)
    require(floating and np.all(np.isfinite(batch.inputs)), f"{name}: inputs must be finite floats")
    require(np.all(batch.weights >= 0), f"{name}: weights must be at least 0")
    require(np.all(np.any(batch.weights > 0, axis=0)), f"{name}: every sequence needs a step with a weight")


def keys(task: Task) -> None:
    """A batch depends on its key alone, and so does a batch of the test set, which ends at `test_size`."""
    name, batch = type(task).__name__, _batch(task)
    require_close(f"{name}.sample must depend on its key alone", _batch(task), batch, 0, 0)
    other = task.sample(jax.random.key(1), SEQUENCES)
    differ = any(np.any(a != b) for a, b in zip(batch, other, strict=True))
    require(differ, f"{name}.sample must depend on its key, but two keys give the same batch")
    last = task.test_batch(jax.random.key(2), jnp.asarray(task.test_size // SEQUENCES), SEQUENCES)
    count = int(np.sum(np.any(np.asarray(last.weights) > 0, axis=0)))
    expected = task.test_size % SEQUENCES
    require(count == expected, f"{name}: the last batch of the test set must have {expected} sequences, got {count}")


def loss(task: Task) -> None:
    """Loss and gradient are finite, and outputs at steps without a weight change neither loss nor metrics."""
    name, batch = type(task).__name__, _batch(task)
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(*batch.weights.shape, task.output_size)), jnp.float32)
    result, gradient = jax.jit(jax.value_and_grad(task.loss))(outputs, batch)
    require(result.shape == () and bool(jnp.isfinite(result)), f"{name}.loss must be a finite scalar, got {result}")
    require(bool(jnp.all(jnp.isfinite(gradient))), f"{name}.loss must have a finite gradient")
    scored = (batch.weights > 0)[..., None]
    require(not np.any(np.where(scored, 0, gradient)), f"{name}.loss must ignore steps without a weight")
    metrics = task.metrics(outputs, batch)
    ignored = task.metrics(jnp.where(scored, outputs, jnp.nan), batch)
    require_close(f"{name}.metrics must ignore steps without a weight", ignored, metrics)
    require_close(f"{name}: the metric loss must be the loss", metrics["loss"], result)


def solved(task: Task) -> None:
    """The baseline is a positive number, and outputs of NaN do not solve the task."""
    name, batch = type(task).__name__, _batch(task)
    positive = isinstance(task.baseline, float) and 0 < task.baseline < math.inf
    require(positive, f"{name}.baseline must be a positive number, got {task.baseline!r}")
    outputs = jnp.full((*batch.weights.shape, task.output_size), jnp.nan)
    metrics = {key: float(each) for key, each in task.metrics(outputs, batch).items()}
    require(not task.solved(metrics), f"{name}: outputs of NaN must not count as solved")


PROPERTIES: dict[str, Property] = {each.__name__: each for each in (value, sizes, numbers, keys, loss, solved)}


def check_task(task: Task) -> None:
    """Checks the contract of a task.

    >>> from rnn_jax import tasks, testing
    >>> testing.check_task(tasks.Copying(20))

    Args:
      task: task, of a short length.

    Raises:
      ContractError: if a property does not hold; the message is one sentence.
      TypeError: if `task` is not a task.
    """
    if not isinstance(task, Task):
        raise TypeError(f"check_task: task must be a rnn_jax.tasks.Task, got {task!r}; write MyTask(20)")
    run_all(checks(task))


def checks(task: Task) -> Iterator[Check]:
    """Yields the checks of a task."""
    for check in PROPERTIES.values():
        yield Check.of(type(task).__name__, check, task)


def _batch(task: Task) -> Batch:
    return task.sample(jax.random.key(0), SEQUENCES)
