"""Runs a cell over a sequence: checks what it is given, hands the recurrence to an engine, reads the outputs."""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import Engine, Scan


def unroll(
    cell: Cell, params: Params, xs: Any, state: State | None = None, *, engine: Engine = Scan()
) -> tuple[State, Any]:
    """Unrolls `cell` over the leading (time) axis of `xs`.

        s_t = step(params, s_{t-1}, project(params, x_t)),   y_t = output(params, s_t, x_t)

    Args:
      cell: the cell.
      params: its parameters, from `cell.init(key)`.
      xs: inputs [T, *batch, input_size], floating point, with any number of batch dimensions. For a wrapper cell that
        takes more than x_t, a pytree whose first leaf is the sequence; all leaves are [T, *batch, ...].
      state: the state before the first step; None means `cell.initial_state`. Feeding a final state back in continues
        the sequence.
      engine: how the recurrence is solved.

    Returns:
      The final state, and the outputs [T, *batch, ...].

    Raises:
      TypeError: where `xs` is not floating point.
      ValueError: where `xs` or `state` has the wrong rank, width, batch shape or dtype, or the cell's step returns a
        state of another shape or dtype than it got.
    """
    batch_shape = _check_inputs(cell, xs)
    initial = jax.eval_shape(lambda p: cell.initial_state(p, batch_shape), params)
    if state is None:
        state = cell.initial_state(params, batch_shape)
    else:
        _check_same(f"unroll: state for {type(cell).__name__} and xs of batch shape {batch_shape}", state, initial)
    if jax.tree.leaves(xs)[0].shape[0]:
        x_0 = jax.tree.map(lambda x: x[0], xs)
        stepped = jax.eval_shape(lambda p, s, x: cell.step(p, s, cell.project(p, x)), params, state, x_0)
        _check_same(
            f"unroll: state after a step of {type(cell).__name__} on xs of dtype {jax.tree.leaves(xs)[0].dtype}",
            stepped,
            initial,
        )
    final_state, states = engine(cell, params, state, xs)
    return final_state, cell.output(params, states, xs)


def _check_inputs(cell: Cell, xs: Any) -> tuple[int, ...]:
    """Returns the batch shape of xs."""
    leaves = jax.tree.leaves(xs)
    if not leaves:
        raise ValueError("unroll: xs holds no array")
    shape, dtype = jnp.shape(leaves[0]), jnp.result_type(leaves[0])
    if len(shape) < 2:
        raise ValueError(
            f"unroll: xs must be [T, *batch, {cell.input_size}] with at least 2 dimensions, got shape {shape}"
        )
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"unroll: xs must be floating point, got {dtype}; encode integers first (one-hot, embedding)")
    if shape[-1] != cell.input_size:
        raise ValueError(
            f"unroll: the last axis of xs must be {type(cell).__name__}.input_size = {cell.input_size}, "
            f"got shape {shape}"
        )
    for leaf in leaves[1:]:
        if jnp.shape(leaf)[: len(shape) - 1] != shape[:-1]:
            raise ValueError(
                f"unroll: every leaf of xs must start with [T, *batch] = {shape[:-1]}, got shape {jnp.shape(leaf)}"
            )
    return shape[1:-1]


def _check_same(what: str, got: Any, wanted: Any) -> None:
    """Refuses a pytree whose structure, shapes or dtypes are not those wanted."""
    got_tree: Any = jax.tree.structure(got)
    wanted_tree: Any = jax.tree.structure(wanted)
    if got_tree != wanted_tree:
        raise ValueError(f"{what}: must have the structure {wanted_tree}, got {got_tree}")
    for (path, leaf), like in zip(jax.tree.leaves_with_path(got), jax.tree.leaves(wanted), strict=True):
        if jnp.shape(leaf) != like.shape or jnp.result_type(leaf) != like.dtype:
            name = jax.tree_util.keystr(path) or "the array"
            raise ValueError(
                f"{what}: {name} must be {like.dtype}{list(like.shape)}, "
                f"got {jnp.result_type(leaf)}{list(jnp.shape(leaf))}"
            )
