"""A regulariser against vanishing gradients: Pascanu, Mikolov & Bengio 2013 (arXiv:1211.5063)."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import arrays
from rnn_jax.cell import Cell, Params
from rnn_jax.diagnostics.jacobians import states_before
from rnn_jax.diagnostics.lag_gradients import state_gradients
from rnn_jax.linear import spread
from rnn_jax.norms import scaled_norm
from rnn_jax.trees import floats, refill


def omega(cell: Cell, params: Params, xs: jax.Array, loss: Callable[[Any], jax.Array]) -> jax.Array:
    """Computes a regulariser that penalises steps which change the norm of the gradient.

        Omega = sum_{t=1..T} (||g_t J_t|| / ||g_t|| - 1)^2,      g_t = dL/ds_t,  J_t = ds_t/ds_{t-1}

    It is the mean over the batch. As in the paper its gradient is the *immediate* one: s_{t-1} and g_t are constants,
    and params enter only through J_t(params; s_{t-1}, x_t), that is, through the weights and the slopes of the
    activations. (In the paper's recurrence, W tanh(s) + ..., the slopes are constant, too.) The immediate gradient
    ignores that all states change, so it is not the gradient of Omega; near a common optimum both agree.

    A step adds nothing if g_t is zero or has underflowed: after the last step that the loss reads, or far before it. A
    step that passes no gradient back (all ReLUs dead) adds 1, with a zero gradient.

    >>> import jax, jax.numpy as jnp, rnn_jax
    >>> cell = rnn_jax.LinearRNN(1, 1)
    >>> params = cell.init(jax.random.key(0))._replace(w_h=jnp.array([[0.5]]))
    >>> omega(cell, params, jnp.ones((4, 1, 1)), lambda ys: jnp.sum(ys[-1]))  # 4 steps of (0.5 - 1)^2
    Array(1., dtype=float32)

    Args:
      cell: cell whose step is twice differentiable.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size].
      loss: scalar function of the outputs [T, *batch, ...], the sum or mean of the sequences' losses as for
        `state_gradients`; its scale does not matter.

    Returns:
      Omega [], differentiable in `params`, to be added to the loss with a weight; finite if all states and g_t are.

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`.
    """
    constant, xs = jax.lax.stop_gradient(params), arrays.native(xs, "omega")
    before = jax.lax.stop_gradient(states_before(cell, constant, xs))
    gradients = jax.lax.stop_gradient(floats(state_gradients(cell, constant, xs, loss)))
    leading = xs.ndim - 1  # time and batch
    norms = _norm(gradients, leading)
    usable = norms >= jnp.finfo(norms.dtype).tiny
    scale = jnp.where(usable, norms, 1)
    directions = [g / spread(scale, g).astype(g.dtype) for g in gradients]

    def step(leaves: list[jax.Array]) -> list[jax.Array]:
        return floats(cell.step(params, refill(before, leaves), cell.project(params, xs)))

    # All steps at once: time is one more batch dimension.
    (passed_back,) = jax.vjp(step, floats(before))[1](directions)
    ratios = _norm(passed_back, leading)
    return jnp.mean(jnp.sum(jnp.where(usable, (ratios - 1) ** 2, 0), axis=0))


def _norm(leaves: list[jax.Array], leading: int) -> jax.Array:
    """Returns the Euclidean norm of all leaves of a state; its derivative at zero is zero."""
    rows = [jnp.reshape(leaf, (*leaf.shape[:leading], -1)) for leaf in leaves]
    parts = [part for row in rows for part in ((row.real, row.imag) if jnp.iscomplexobj(row) else (row,))]
    return scaled_norm(jnp.concatenate(parts, axis=-1))
