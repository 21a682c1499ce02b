"""The program of `Hoisted` for a TPU or GPU: as few operations in a time step as possible.

There a small operation costs its launch, hardly its arithmetic, and XLA fuses what it can: so all inputs are projected
before the loop, only states are kept, and the arguments of all steps are one product again before the backward loop.

    forward
        d_t = project(x_t)                                      all t at once
        for t = 1..T:  s_t = activate(s_{t-1}, d_t, recurrent(s_{t-1}))
    backward
        (d_t, r_t), and the derivatives of activate if they are small     all t at once
        for t = T..1:  lambda_t, and d_bar_t if activate reads d_t + r_t only
        grad_params, grad_inputs = vjp of project, recurrent and activate for all t

A plan (`rnn_jax.engines.decisions`) says in what the platforms differ.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Params, State
from rnn_jax.engines import decisions
from rnn_jax.engines.decisions import Plan
from rnn_jax.engines.step import (
    Carry,
    Residuals,
    add,
    advance,
    arguments,
    pull,
    pull_advance,
    pull_product,
    sums_over_time,
)
from rnn_jax.trees import floats, refill


def forward(
    plan: Plan, unroll: int, keep: bool, cell: Any, params: Params, state: State, inputs: Any
) -> tuple[State, State, Any]:
    """Returns the last state, all states, and all steps' arguments if they are kept."""
    widen, narrow = _rows(plan, inputs)
    pack, unpack = _packing(plan, state)

    def body(state: State, drive: Any) -> tuple[State, Any]:
        kept = arguments(cell, params, state, widen(drive))
        state = advance(cell, params, state, *kept)
        return state, (pack(narrow(state)), narrow(kept) if keep else None)

    final, (states, kept) = jax.lax.scan(body, widen(state), cell.project(params, inputs), unroll=unroll)
    return narrow(final), unpack(states), kept


def no_arguments(cell: Any, params: Params, states: State, inputs: Any) -> Any:
    """Returns zeros in place of all steps' arguments, which another platform keeps; they are compiled to nothing."""
    return jax.tree.map(jnp.zeros_like, arguments(cell, params, states, cell.project(params, inputs)))


def backward(
    plan: Plan, unroll: int, cell: Any, residuals: Residuals, grad_states: list[jax.Array], carry: Carry
) -> tuple[Carry, list[jax.Array]]:
    """Computes the backward pass over consecutive steps; arguments and results are those of `cpu.backward`."""
    params, first, states, inputs, kept = residuals
    before = jax.tree.map(lambda s_0, all_: jnp.concatenate([s_0[None], all_[:-1]]), first, states)
    if kept is None:
        kept = arguments(cell, params, before, cell.project(params, inputs))
    residuals = residuals._replace(kept=kept)
    loop = _product_first if plan.product_first and _enters_state(cell, residuals) else _product_last
    adjoint, adjoints, kept_bar = loop(plan, unroll, cell, residuals, before, grad_states, carry.adjoint)
    if kept_bar is not None:
        sums = sums_over_time(cell, residuals, before, kept_bar, adjoints, carry.grad_params, fold=lambda tree: tree)
        return Carry(adjoint, sums[0]), sums[1]

    def steps(params: Params, inputs: Any) -> list[jax.Array]:
        drives = cell.project(params, inputs)
        return floats(advance(cell, params, before, *arguments(cell, params, before, drives)))

    grad_params, grad_inputs = pull(steps, adjoints, params, inputs)
    return Carry(adjoint, add(carry.grad_params, floats(grad_params, params))), floats(grad_inputs, inputs)


def _product_last(
    plan: Plan, unroll: int, cell: Any, residuals: Residuals, before: State, grad_states: Any, adjoint: Any
) -> tuple[Any, Any, Any]:
    """Returns the adjoint before the first step, all lambda_t, and all arguments' cotangents if they are summed."""
    params, _, _, _, kept = residuals
    row_of, pulls = _pulls(plan, cell, residuals, before)
    summed, (pack, unpack) = _is_summed(cell, kept), _packing(plan, grad_states)

    def body(adjoint: Any, x: Any) -> tuple[Any, Any]:
        grad_state, (before, (drive, r)), pull_row = x
        adjoint = add(adjoint, grad_state)
        before_bar, drive_bar, r_bar = row_of(pull_row, before, drive, r)(adjoint)
        if cell.is_split:
            product_bar = drive_bar[0] if r is None else r_bar
            more_before, more_drive = pull_product(cell, params, before, drive, product_bar)
            before_bar, drive_bar = add(before_bar, more_before), add(drive_bar, more_drive)
        return before_bar, (adjoint, refill(drive, drive_bar)) if summed else pack(adjoint)

    xs = (grad_states, (before, kept), pulls)
    adjoint, ys = jax.lax.scan(body, adjoint, xs, reverse=True, unroll=unroll)
    return (adjoint, ys[0], (ys[1], None)) if summed else (adjoint, unpack(ys), None)


def _product_first(
    plan: Plan, unroll: int, cell: Any, residuals: Residuals, before: State, grad_states: Any, adjoint: Any
) -> tuple[Any, Any, Any]:
    """Computes the results of `_product_last`, with the product of step t + 1 in iteration t.

    So what is made of a product is in the same iteration, and XLA fuses the two. Through `activate`, only arrays of the
    state that it reads have a cotangent to carry.
    """
    params, first, states, _, kept = residuals
    row_of, pulls = _pulls(plan, cell, residuals, before)
    summed, (pack, unpack) = _is_summed(cell, kept), _packing(plan, grad_states)
    drive, r = jax.tree.map(lambda leaf: leaf[0], kept)
    _, read = _read(cell, residuals)
    grad_states = [g if used else g.at[-1].add(a) for g, a, used in zip(grad_states, adjoint, read, strict=True)]

    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        grad_state, state, (before, (drive, r)), pull_row = x
        adjoint = add(after_product(carry, state, drive), grad_state)
        before_bar, drive_bar, r_bar = row_of(pull_row, before, drive, r)(adjoint)
        product_bar = drive_bar[0] if r is None else r_bar
        return (chosen(before_bar), product_bar), (adjoint, refill(drive, drive_bar)) if summed else pack(adjoint)

    def after_product(carry: Any, state: State, drive: Any) -> list[jax.Array]:
        direct, more = iter(carry[0]), pull_product(cell, params, state, drive, carry[1])[0]
        return [part + next(direct) if used else part for part, used in zip(more, read, strict=True)]

    def chosen(leaves: list[jax.Array]) -> list[jax.Array]:
        return [leaf for leaf, used in zip(leaves, read, strict=True) if used]

    carry = chosen(adjoint), jnp.zeros_like(floats(drive)[0] if r is None else r)
    carry, ys = jax.lax.scan(body, carry, (grad_states, states, (before, kept), pulls), reverse=True, unroll=unroll)
    adjoint = after_product(carry, first, drive)
    return (adjoint, ys[0], (ys[1], None)) if summed else (adjoint, unpack(ys), None)


def _is_summed(cell: Any, kept: Any) -> bool:
    """Whether cotangents of the arguments are kept in the loop, not computed from all lambda_t after it."""
    return cell.is_split and kept[1] is None


def _enters_state(cell: Any, residuals: Residuals) -> bool:
    drive = jax.tree.map(lambda leaf: leaf[0], residuals.kept[0])
    return cell.is_split and decisions.enters_state(cell, residuals.params, residuals.state, drive)


def _pulls(plan: Plan, cell: Any, residuals: Residuals, before: State) -> tuple[Callable[..., Any], Any]:
    """Returns a function that returns a step's `pull_advance`, and what it needs of each step.

    Those are the derivatives of `activate` at all steps, computed at once, or nothing.
    """
    at = functools.partial(pull_advance, cell, residuals.params)
    if not plan.linearise or not cell.is_split or any(leaf.ndim > 1 for leaf in _read(cell, residuals)[0]):
        return lambda _, *row: at(*row), None
    return lambda pull_row, *_: pull_row, jax.vmap(at)(before, *residuals.kept)


def _read(cell: Any, residuals: Residuals) -> tuple[list[Any], list[bool]]:
    """Returns `decisions.read_by_activate` of the first step."""
    row = jax.tree.map(lambda leaf: leaf[0], residuals.kept)
    return decisions.read_by_activate(cell, residuals.params, residuals.state, *row)


def _rows(plan: Plan, inputs: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Returns functions of pytrees that make `plan.rows` equal rows of a single sequence, and one row of them."""
    single = math.prod(jax.tree.leaves(inputs)[0].shape[1:-1]) == 1
    if plan.rows == 1 or not single or not jax.sharding.get_abstract_mesh().empty:
        return lambda tree: tree, lambda tree: tree

    def widen(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (plan.rows, *leaf.shape)), tree)

    return widen, lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)


def _packing(plan: Plan, tree: Any) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    """Returns functions that stack the leaves of a step's pytree into one array, if they are alike, and split all."""
    leaves, structure = jax.tree.flatten(tree)
    if not plan.pack or len({(leaf.shape, leaf.dtype) for leaf in leaves}) != 1:
        return lambda tree: tree, lambda tree: tree

    def unpack(packed: jax.Array) -> Any:
        parts = [jax.lax.index_in_dim(packed, i, axis=1, keepdims=False) for i in range(len(leaves))]
        return jax.tree.unflatten(structure, parts)

    return lambda tree: jnp.stack(jax.tree.leaves(tree)), unpack
