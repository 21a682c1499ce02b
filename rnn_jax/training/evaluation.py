"""Metrics over a task's whole test set, in batches, all seeds in one program."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import mesh
from rnn_jax.models import ReadoutModel
from rnn_jax.seeds import fetch, over_seeds, place
from rnn_jax.tasks import Batch, Task


def evaluate(
    model: ReadoutModel, task: Task, params: Any, key: jax.Array, batch_size: int, batches: int | None = None
) -> dict[str, np.ndarray]:
    """The task's metrics over its test set, or over the first batches of it.

    Args:
      model: compared by value: an equal one is not compiled again.
      task: gives the test batches.
      params: [seeds, ...].
      key: draws the test set of a synthetic task, the same for every seed.
      batch_size: sequences at a time.
      batches: how many at the most; None: the whole test set.

    Returns:
      Each metric [seeds].
    """
    params = place(params)
    found = []
    for index in range(-(-task.test_size // batch_size))[:batches]:
        batch = _test_batch(task, key, jnp.array(index), batch_size)
        found.append((fetch(_metrics(model, task, params, batch)), jnp.sum(batch.weights)))
    weights = np.array([weight for _, weight in found])
    return {name: np.average([metrics[name] for metrics, _ in found], axis=0, weights=weights) for name in found[0][0]}


@functools.partial(jax.jit, static_argnames="batch_size")
def _test_batch(task: Task, key: jax.Array, index: jax.Array, batch_size: int) -> Batch:
    return task.test_batch(key, index, batch_size)


@functools.partial(jax.jit, static_argnames="model")
def _metrics(model: ReadoutModel, task: Task, params: Any, batch: Batch) -> dict[str, jax.Array]:
    def of_seed(params: Any, task: Task, batch: Batch) -> dict[str, jax.Array]:
        batch = mesh.split_batch(batch)
        _, outputs = model.apply(params, batch.inputs)
        return task.metrics(outputs, batch)

    return over_seeds(of_seed, params, task, batch)
