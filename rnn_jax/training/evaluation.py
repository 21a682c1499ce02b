"""Metrics over a task's whole test set, in batches, all seeds vmapped."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.models import ReadoutModel
from rnn_jax.tasks import Task


@functools.partial(jax.jit, static_argnames=("model", "batch_size"))
def evaluate(model: ReadoutModel, task: Task, params: Any, key: jax.Array, batch_size: int) -> dict[str, jax.Array]:
    """The task's metrics over its test set.

    Args:
      model: static.
      task: gives the test batches.
      params: [seeds, ...].
      key: draws the test set of a synthetic task, the same for every seed.
      batch_size: sequences at a time; static.

    Returns:
      Each metric [seeds].
    """

    def of_seed(params: Any) -> dict[str, jax.Array]:
        def of_batch(index: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
            batch = task.test_batch(key, index, batch_size)
            _, outputs = model.apply(params, batch.inputs)
            return task.metrics(outputs, batch), jnp.sum(batch.weights)

        metrics, weight = jax.lax.map(of_batch, jnp.arange(-(-task.test_size // batch_size)))
        return jax.tree.map(lambda values: jnp.sum(values * weight) / jnp.sum(weight), metrics)

    return jax.vmap(of_seed)(params)
