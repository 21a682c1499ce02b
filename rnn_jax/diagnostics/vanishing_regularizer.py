"""A regulariser that keeps the gradient's norm from step to step: Pascanu, Mikolov & Bengio 2013 (arXiv:1211.5063)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Params
from rnn_jax.diagnostics.jacobians import states_before
from rnn_jax.diagnostics.lag_gradients import state_gradients
from rnn_jax.linear import spread
from rnn_jax.trees import floats, refill


def omega(cell: Cell, params: Params, xs: jax.Array, loss: Callable[[Any], jax.Array]) -> jax.Array:
    """How far each step is from handing the gradient back with its norm unchanged, to add to a loss.

        Omega = sum_{t=1..T} (||g_t J_t|| / ||g_t|| - 1)^2,      g_t = dL/ds_t,  J_t = ds_t/ds_{t-1}

    averaged over the batch. As in the paper its gradient is the *immediate* one: the s_{t-1} and g_t are constants, and
    params are seen to enter J_t(params; s_{t-1}, x_t) alone, through the weights and through the activations' slopes.
    (The paper's recurrence, W tanh(s) + ..., keeps the slopes out of it.) So descending it is not descending Omega,
    of which it leaves out that all states change; near the optimum of both, it does what is wanted.

    A step counts nothing where g_t is zero or has underflown: after the last step that the loss reads, or too far
    before it. Where a step hands nothing back at all (every ReLU dead), it counts 1 and has no direction.

    Args:
      cell: any cell whose step is twice differentiable.
      params: its parameters.
      xs: inputs [T, *batch, input_size].
      loss: scalar function of the outputs [T, *batch, ...], as for `state_gradients`: sum, or mean, of the sequences'
        own; its scale does not matter.

    Returns:
      A scalar, differentiable in `params`; add it with a weight to the loss. Never NaN where states and g_t are none.

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`.
    """
    constant = jax.lax.stop_gradient(params)
    before = jax.lax.stop_gradient(states_before(cell, constant, xs))
    gradients = jax.lax.stop_gradient(floats(state_gradients(cell, constant, xs, loss)))
    batch_dims = xs.ndim - 1
    lengths = _norm(gradients, batch_dims)
    counts = lengths >= jnp.finfo(lengths.dtype).tiny
    scale = jnp.where(counts, lengths, 1)
    directions = [g / spread(scale, g).astype(g.dtype) for g in gradients]

    def step(leaves: list[jax.Array]) -> list[jax.Array]:
        return floats(cell.step(params, refill(before, leaves), cell.project(params, xs)))

    # All steps at once: time is one more leading dimension.
    (handed_back,) = jax.vjp(step, floats(before))[1](directions)
    ratios = _norm(handed_back, batch_dims)
    return jnp.mean(jnp.sum(jnp.where(counts, (ratios - 1) ** 2, 0), axis=0))


def _norm(leaves: list[jax.Array], batch_dims: int) -> jax.Array:
    """Euclidean norm of a state's leaves together; its derivative at zero is zero."""
    rows = [jnp.reshape(leaf, (*leaf.shape[:batch_dims], -1)) for leaf in leaves]
    parts = [part for row in rows for part in ((row.real, row.imag) if jnp.iscomplexobj(row) else (row,))]
    x = jnp.concatenate(parts, axis=-1)
    # The largest entry is taken out first, or squares of 1e-20 underflow; it cancels, and so is a constant.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1))
    some = largest > 0
    scaled = x / jnp.where(some, largest, 1)[..., None]
    squares = jnp.where(some, jnp.sum(scaled**2, axis=-1), 1)
    return largest * jnp.sqrt(squares)
