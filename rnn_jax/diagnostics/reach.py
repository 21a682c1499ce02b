"""How far back a model's gradient reaches on a task, for many seeds at once, and the first-order theory of it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import parameters, static
from rnn_jax.cell import Cell, Params
from rnn_jax.coordinates import ravel
from rnn_jax.diagnostics.lag_gradients import align_to_last, gradient_norms, state_gradients
from rnn_jax.models import ReadoutModel
from rnn_jax.seeds import over_seeds, place
from rnn_jax.tasks import Batch, Task


def gradient_reach(model: ReadoutModel, task: Task, params: Any, batch: Batch) -> dict[str, dict[str, jax.Array]]:
    """Computes ||dL/ds_{T-k}|| by lag k for many seeds, the mean over the sequences of a batch.

    L is the loss of a single sequence: the weighted losses of its steps over the mean weight of the batch's sequences.
    It is the sequence's own mean loss, unless sequences differ in weight (`VariableCopying`): then a long one has a
    larger L, as it has a larger part in the batch's loss.

    >>> import jax
    >>> from rnn_jax import LSTM, models, tasks
    >>> model, task = models.ReadoutModel(LSTM(2, 4), 1), tasks.Adding(length=10)
    >>> params = jax.vmap(model.init)(jax.random.split(jax.random.key(0), 2))  # two seeds
    >>> reach = gradient_reach(model, task, params, task.sample(jax.random.key(1), 3))
    >>> list(reach), list(reach["task"]), reach["task"]["total"].shape
    (['last_step', 'task'], ['c', 'h', 'total'], (2, 10))

    Args:
      model: the cell and its readout; static.
      task: definition of the loss.
      params: parameters, every leaf [seeds, ...].
      batch: batch of the task, used for every seed.

    Returns:
      Norms [seeds, T] by lag, for two losses and by the component of the state, with the norm of all components as
      `total` (`gradient_norms`). The losses are that of the `last_step` alone and that of the `task`, which are equal
      if a task reads only its last step. NaN at lags that not all sequences have.
    """
    static.refuse_class(model, "gradient_reach: model")
    static.refuse_class(task, "gradient_reach: task")
    return _gradient_reach(model, task, place(params), batch)


@functools.partial(jax.jit, static_argnames="model")
def _gradient_reach(model: ReadoutModel, task: Task, params: Any, batch: Batch) -> dict[str, dict[str, jax.Array]]:
    batch_size = batch.weights.shape[1]
    steps = jnp.arange(batch.weights.shape[0])[:, None]
    last = jnp.max(jnp.where(batch.weights > 0, steps, -1), axis=0, keepdims=True)
    weights = {"last_step": batch.weights * (steps == last), "task": batch.weights}

    def seed_norms(params: Any, task: Task, batch: Batch, stacked: jax.Array) -> dict[str, jax.Array]:
        def norms_by_lag(weights: jax.Array) -> dict[str, jax.Array]:
            def loss(hs: jax.Array) -> jax.Array:
                # The task's loss is a mean over the batch; this is the sum of the sequences' losses.
                return batch_size * task.loss(model.read(params, hs), batch._replace(weights=weights))

            norms = gradient_norms(state_gradients(model.cell, params.cell, batch.inputs, loss))
            return {name: jnp.mean(align_to_last(n, weights), axis=1) for name, n in norms.items()}

        return jax.vmap(norms_by_lag)(stacked)

    names = list(weights)
    norms = over_seeds(seed_norms, params, task, batch, jnp.stack([weights[name] for name in names]))
    return {name: jax.tree.map(lambda n, i=i: n[:, i], norms) for i, name in enumerate(names)}


def linearised_reach(cell: Cell, params: Params, lags: int) -> np.ndarray:
    """Computes the first-order theory of the decay: the gradient of a cell at rest by lag k, relative to lag 0.

        ||O J^k||_F / ||O||_F,    J = ds_t/ds_{t-1},  O = dy_t/ds_t  at x = 0 and s = 1e-3 in every unit

    The state is slightly above zero, off the kink of a ReLU: those are active whose recurrent weights add up to more
    than zero, as all of an IRNN's. No unit saturates there: the decay is that of the recurrent weights and of the
    gates' biases alone. It is exact for a linear cell, in the mean over directions of
    dL/dy_T.

    Args:
      cell: cell whose output is differentiable in the state; static.
      params: parameters of one seed.
      lags: number of lags.

    Returns:
      Norms [lags] in float64, relative to that at lag 0; NaN if that is 0, as of a matrix memory, whose output at x = 0
      reads nothing.
    """
    parameters.check(cell, params)
    rest, output = (np.asarray(matrix, np.float64) for matrix in _linearise(cell, params))
    norms = []
    for _ in range(lags):
        norms.append(np.linalg.norm(output))
        output = output @ rest
    return np.asarray(norms) / norms[0] if norms[0] else np.full(lags, np.nan)


@functools.partial(jax.jit, static_argnames="cell")
def _linearise(cell: Cell, params: Params) -> tuple[jax.Array, jax.Array]:
    """Returns J and O of `linearised_reach`, for the state as one real vector."""
    state, unflatten = ravel(cell.initial_state(params))
    rest = jnp.full_like(state, 1e-3)
    x = jnp.zeros(cell.input_size, state.dtype)

    def step(s: jax.Array) -> jax.Array:
        return ravel(cell.step(params, unflatten(s), cell.project(params, x)))[0]

    def output(s: jax.Array) -> jax.Array:
        return ravel(cell.output(params, unflatten(s), x))[0]

    return jax.jacobian(step)(rest), jax.jacobian(output)(rest)
