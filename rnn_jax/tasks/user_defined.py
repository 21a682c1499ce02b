"""User-defined tasks by name, checked before anything is trained on them."""

import jax
import jax.numpy as jnp

from rnn_jax import import_path
from rnn_jax.tasks.task import Task


def load(name: str, length: int) -> Task:
    """Returns the task at an import path `module:Class` or `module:Class(option=value)`, called as (length).

    Raises:
      ValueError: if there is no such task, it cannot be made, it is no frozen dataclass or no pytree, or its batches
        and metrics contradict the sizes and names that it states.
    """
    make = import_path.load(name, "task", "(length) -> Task")
    try:
        task = make(length)
    except Exception as error:  # user code may raise anything
        raise ValueError(f"task {name!r} cannot be made as (length): {error}") from error
    if not isinstance(task, Task):
        raise ValueError(f"task {name!r} must make a rnn_jax.tasks.Task, got {type(task).__name__}")
    if "__dataclass_fields__" not in vars(type(task)) or jax.tree_util.all_leaves([task]):
        raise ValueError(
            f"task {name!r} must be a frozen dataclass and a pytree, as equal tasks share compiled programs; write "
            f"@jax.tree_util.register_static and @dataclasses.dataclass(frozen=True) above class {type(task).__name__}"
        )
    try:
        problem = contradiction(task)
    except Exception as error:
        raise ValueError(f"task {name!r} cannot be used: {type(error).__name__}: {error}") from error
    if problem:
        raise ValueError(f"task {name!r}: {problem}")
    return task


def contradiction(task: Task) -> str | None:
    """Returns what contradicts the sizes and names that a task states, by tracing it; None if nothing does."""
    batch = jax.eval_shape(lambda key: task.sample(key, 2), jax.random.key(0))
    steps, outputs = (task.sequence_length, 2), (task.sequence_length, 2, task.output_size)
    classes = jnp.issubdtype(batch.targets.dtype, jnp.integer)
    expected = {
        "inputs": (*steps, task.input_size),
        "classes" if classes else "targets": steps if classes else outputs,
        "weights": steps,
    }
    for (what, shape), leaf in zip(expected.items(), batch, strict=True):
        if leaf.shape != shape:
            return f"{what} of a batch of 2 must be {list(shape)}, got {list(leaf.shape)}"
    metrics = jax.eval_shape(task.metrics, jax.ShapeDtypeStruct(outputs, jnp.float32), batch)
    if missing := {"loss", task.metric} - set(metrics):
        return f"metrics must have {', '.join(sorted(missing))}, got {', '.join(metrics)}"
    return None
