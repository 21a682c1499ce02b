"""How far back a model's gradient reaches on a task, many seeds at once; and what its linearisation would keep."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.cell import Cell, Params
from rnn_jax.diagnostics.coordinates import ravel
from rnn_jax.diagnostics.lag_gradients import align_to_last, gradient_norms, state_gradients
from rnn_jax.models import ReadoutModel
from rnn_jax.seeds import over_seeds, place
from rnn_jax.tasks import Batch, Task


def gradient_reach(model: ReadoutModel, task: Task, params: Any, batch: Batch) -> dict[str, dict[str, jax.Array]]:
    """||dL/ds_{T-k}|| by lag k, L each sequence's own loss, averaged over a batch of the task.

    Args:
      model: static.
      task: gives the loss.
      params: [seeds, ...].
      batch: of the task; the same for every seed.

    Returns:
      For the loss read at the `last_step` alone and for the `task`'s own (the same where a task reads only its last
      step), for each component of the state and their `total` (`gradient_norms`): [seeds, T] by lag, NaN at lags that
      not every sequence has.
    """
    return _gradient_reach(model, task, place(params), batch)


@functools.partial(jax.jit, static_argnames="model")
def _gradient_reach(model: ReadoutModel, task: Task, params: Any, batch: Batch) -> dict[str, dict[str, jax.Array]]:
    batch_size = batch.weights.shape[1]
    steps = jnp.arange(batch.weights.shape[0])[:, None]
    last = jnp.max(jnp.where(batch.weights > 0, steps, -1), axis=0, keepdims=True)
    weights = {"last_step": batch.weights * (steps == last), "task": batch.weights}

    def of_seed(params: Any, task: Task, batch: Batch, stacked: jax.Array) -> dict[str, jax.Array]:
        def by_lag(weights: jax.Array) -> dict[str, jax.Array]:
            def loss(hs: jax.Array) -> jax.Array:
                # The task's loss is a mean over the batch; each sequence's own is wanted.
                return batch_size * task.loss(model.read(params, hs), batch._replace(weights=weights))

            norms = gradient_norms(state_gradients(model.cell, params.cell, batch.inputs, loss))
            return {name: jnp.mean(align_to_last(n, weights), axis=1) for name, n in norms.items()}

        return jax.vmap(by_lag)(stacked)

    names = list(weights)
    norms = over_seeds(of_seed, params, task, batch, jnp.stack([weights[name] for name in names]))
    return {name: jax.tree.map(lambda n, i=i: n[:, i], norms) for i, name in enumerate(names)}


def linearised_reach(cell: Cell, params: Params, lags: int) -> np.ndarray:
    """First-order theory of the decay: what reaches back k steps through a cell at rest, relative to lag 0.

        ||O J^k||_F / ||O||_F,    J = ds_t/ds_{t-1},  O = dy_t/ds_t  at x = 0 and every unit barely above zero

    Barely above (1e-3), so that a ReLU is in its active half. Nothing saturates there: it is what the recurrent weights
    and the gates' biases alone would keep. For a linear cell it is exact (in the mean over directions of dL/dy_T).

    Args:
      cell: any cell whose output is differentiable in the state.
      params: of one seed.
      lags: how many.

    Returns:
      [lags], in float64.
    """
    rest, output = (np.asarray(matrix, np.float64) for matrix in _linearise(cell, params))
    norms = []
    for _ in range(lags):
        norms.append(np.linalg.norm(output))
        output = output @ rest
    return np.asarray(norms) / norms[0]


@functools.partial(jax.jit, static_argnames="cell")
def _linearise(cell: Cell, params: Params) -> tuple[jax.Array, jax.Array]:
    """J and O of `linearised_reach`, the state as one real vector."""
    state, unflatten = ravel(cell.initial_state(params))
    rest = jnp.full_like(state, 1e-3)
    x = jnp.zeros(cell.input_size, state.dtype)

    def step(s: jax.Array) -> jax.Array:
        return ravel(cell.step(params, unflatten(s), cell.project(params, x)))[0]

    def output(s: jax.Array) -> jax.Array:
        return ravel(cell.output(params, unflatten(s), x))[0]

    return jax.jacobian(step)(rest), jax.jacobian(output)(rest)
