"""The program of `Hoisted` for a CPU: each step's arguments are used, and overwritten, while they are in the cache.

`rnn_jax.engines.decisions` gives the measurement behind each choice.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import mesh
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import decisions
from rnn_jax.engines.step import (
    Carry,
    Residuals,
    add,
    advance,
    arguments,
    pull_advance,
    pull_product,
    row,
    sums_over_time,
)
from rnn_jax.trees import refill


def forward(unroll: int, keep: bool, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State, Any]:
    """Returns the last state, all states, and all steps' arguments if they are kept."""

    def body(state: State, x: Any) -> tuple[Any, Any]:
        drive, r = arguments(cell, params, state, cell.project(params, x))
        state = advance(cell, params, state, drive, r)
        return state, (state, (drive, r) if keep else None)

    final, (states, kept) = jax.lax.scan(body, state, inputs, unroll=unroll)
    return final, states, kept


def backward(
    unroll: int, cell: Cell, residuals: Residuals, grad_states: list[jax.Array], carry: Carry
) -> tuple[Carry, list[jax.Array]]:
    """Computes the backward pass over consecutive steps.

    Args:
      unroll: number of steps in one iteration of the compiled loop.
      cell: any cell.
      residuals: arrays of these steps; without `kept`, the arguments are recomputed.
      grad_states: dL/ds_t, through no later state.
      carry: results of the steps after these.

    Returns:
      The carry for the steps before these, and dL/dx_t.
    """
    params, first, states, inputs, kept = residuals
    fold, unfold = _folding(inputs)
    all_before = fold(jax.tree.map(lambda s_0, all_: jnp.concatenate([s_0[None], all_[:-1]]), first, states))
    if kept is None:
        residuals = residuals._replace(
            kept=unfold(arguments(cell, params, all_before, cell.project(params, fold(inputs))))
        )
    # The memory of a short segment is reused, so its cotangents need not overwrite the arguments.
    adjoint, adjoints, kept_bar = _adjoint_loop(
        unroll, cell, residuals, grad_states, carry.adjoint, overwrite=kept is not None
    )
    grad_params, grad_inputs = sums_over_time(cell, residuals, all_before, kept_bar, adjoints, carry.grad_params, fold)
    return Carry(adjoint, grad_params), grad_inputs


def _adjoint_loop(
    unroll: int, cell: Any, residuals: Residuals, grad_states: Any, adjoint: Any, overwrite: bool
) -> tuple[Any, Any, Any]:
    """Returns the adjoint before the first step, all lambda_t, and the cotangents of all steps' arguments.

    With `overwrite`, a step's cotangents take the place of its arguments, which have been read. The next row is read
    from the array that results: otherwise XLA copies the whole array at every step at some sizes (jaxlib 0.10.2).
    """
    params, first, states, inputs, kept = residuals
    weights = _weights(cell, params, first, jax.tree.leaves(inputs)[0].shape[1:-1])

    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        adjoint, buffer, next_row = carry
        t, grad_state, kept_row = x
        previous = row(states, jnp.maximum(t - 1, 0))
        before = jax.tree.map(lambda s, s_0: jnp.where(t > 0, s, s_0), previous, first)
        drive, r = mesh.gather_model(next_row if overwrite else kept_row)
        adjoint = add(adjoint, grad_state)
        before_bar, row_bar = _step_adjoint(cell, params, weights, adjoint, before, drive, r)
        if not overwrite:
            return (before_bar, None, None), (adjoint, row_bar)
        buffer = _put(buffer, row_bar, t)
        return (before_bar, buffer, row(buffer, jnp.maximum(t - 1, 0))), (adjoint, None)

    steps = jnp.arange(len(jax.tree.leaves(inputs)[0]))
    buffer, rows = (kept, None) if overwrite else (None, kept)
    (adjoint, buffer, _), (adjoints, rows_bar) = jax.lax.scan(
        body, (adjoint, buffer, row(buffer, -1)), (steps, grad_states, rows), reverse=True, unroll=unroll
    )
    return adjoint, adjoints, buffer if overwrite else rows_bar


def _step_adjoint(
    cell: Any, params: Params, weights: Callable[[], Params], adjoint: Any, before: State, drive: Any, r: Any
) -> tuple[list[jax.Array], Any]:
    """Returns the cotangents of s_{t-1} and of the arguments (drive, r) of step t, from lambda_t."""
    before_bar, drive_bar, r_bar = mesh.gather_model(pull_advance(cell, params, before, drive, r)(adjoint))
    if cell.is_split:
        product_bar = drive_bar[0] if r is None else r_bar
        more_before, more_drive = pull_product(cell, weights(), before, drive, product_bar)
        before_bar, drive_bar = add(before_bar, more_before), add(drive_bar, more_drive)
    return before_bar, (refill(drive, drive_bar), r_bar)


def _folding(inputs: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Returns functions of pytrees that fold steps and batch of the inputs into one axis, and unfold them."""
    shape, folded = jax.tree.leaves(inputs)[0].shape[:-1], decisions.folded_shape(inputs)

    def fold(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.reshape(leaf, (*folded, *leaf.shape[len(shape) :])), tree)

    def unfold(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.reshape(leaf, (*shape, *leaf.shape[len(folded) :])), tree)

    return fold, unfold


def _weights(cell: Any, params: Params, state: State, batch: tuple[int, ...]) -> Callable[[], Params]:
    """Returns a function that returns the parameters in the backward loop, stored transposed if that is faster."""
    if not decisions.transpose_once(cell, params, state, batch):
        return lambda: params
    transposed = jax.tree.map(_transpose, params)
    return lambda: jax.tree.map(_transpose, transposed)


def _transpose(leaf: jax.Array) -> jax.Array:
    return jnp.swapaxes(leaf, -1, -2) if leaf.ndim > 1 else leaf


def _put(tree: Any, row: Any, t: jax.Array) -> Any:
    return jax.tree.map(lambda leaf, new: jax.lax.dynamic_update_index_in_dim(leaf, new, t, 0), tree, row)
