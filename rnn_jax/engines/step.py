"""A step and its cotangents, as the programs of `Hoisted` see them.

A step has two halves: its arguments (the drive and the recurrent product) and what is made of them. A name ends in
`_bar` for a cotangent of a loop's arrays, and starts with `grad_` for a gradient that JAX gets or gives.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import mesh
from rnn_jax.cell import Params, State
from rnn_jax.engines import decisions
from rnn_jax.trees import floats, refill


class Residuals(NamedTuple):
    """Arrays that the backward pass reads; all but the first two are time-major."""

    params: Params
    state: State  # s_0
    states: State  # s_1..s_T
    inputs: Any
    kept: Any  # the arguments (drive, r) of every step, see `arguments`; None if they are recomputed


class Carry(NamedTuple):
    """Results of the backward pass over the steps after a segment."""

    adjoint: list[jax.Array]  # (ds_{t+1}/ds_t)^T lambda_{t+1} for the segment's last step t
    grad_params: list[jax.Array]


def arguments(cell: Any, params: Params, state: State, drive: Any) -> tuple[Any, jax.Array | None]:
    """Returns the arguments of `advance` besides the state: drive and r; (drive + r, None) if nothing else is read."""
    if not cell.is_split:
        return drive, None
    r = cell.recurrent(params, cell.enter(params, state, drive))
    if decisions.reads_only_sum(cell, params, state, drive, r):
        return mesh.gather_model(refill(drive, [floats(drive)[0] + r])), None
    return mesh.gather_model((drive, r))


def advance(cell: Any, params: Params, state: State, drive: Any, r: jax.Array | None) -> State:
    """Returns s_t from s_{t-1} and the step's arguments."""
    if not cell.is_split:
        return mesh.gather_model(cell.step(params, state, drive))
    return mesh.gather_model(cell.activate(params, state, drive, jnp.zeros_like(floats(drive)[0]) if r is None else r))


def pull_advance(cell: Any, params: Params, state: State, drive: Any, r: Any) -> Callable[[Any], Any]:
    """Returns the function from lambda_t to the cotangents of s_{t-1}, the drive and r, through `advance` alone."""
    function = on_floats(lambda s, d, r: advance(cell, params, s, d, r), state, drive)
    return jax.vjp(function, floats(state), floats(drive), r)[1]


def pull_product(cell: Any, params: Params, state: State, drive: Any, product_bar: jax.Array) -> Any:
    """Returns the cotangents of s_{t-1} and the drive through `recurrent`, from that of its product."""
    product = on_floats(lambda s, d: cell.recurrent(params, cell.enter(params, s, d)), state, drive)
    return pull(product, [product_bar], floats(state), floats(drive))


def sums_over_time(
    cell: Any,
    residuals: Residuals,
    before: State,
    kept_bar: Any,
    adjoints: list[jax.Array],
    grads: list[jax.Array],
    fold: Callable[[Any], Any],
) -> tuple[list[jax.Array], list[jax.Array]]:
    """Returns `grads` plus the parameters' gradients over these steps, and the inputs' gradients.

    `before` holds s_0..s_{T-1}, folded; `fold` folds steps and batch into one axis, or returns its argument. The term
    of a function that does not read the parameters is compiled to nothing.
    """
    params, _, _, inputs, kept = residuals
    drives, rs = fold(kept)
    drives_bar, rs_bar = kept_bar
    drives_bar, product_bar = floats(fold(drives_bar)), floats(fold(drives_bar if rs is None else rs_bar))[0]
    more, grad_inputs = pull(lambda p, x: floats(cell.project(p, fold(x))), drives_bar, params, inputs)
    grads = add(grads, floats(more, params))
    (more,) = pull(lambda p: floats(advance(cell, p, before, drives, rs)), fold(adjoints), params)
    grads = add(grads, floats(more, params))
    if cell.is_split:
        (more,) = pull(lambda p: floats(cell.recurrent(p, cell.enter(p, before, drives))), [product_bar], params)
        grads = add(grads, floats(more, params))
    return grads, floats(grad_inputs, inputs)


def on_floats(function: Callable[..., Any], state: State, drive: Any) -> Callable[..., list[jax.Array]]:
    """Returns a function of (state, drive, ...) as one of their floating-point leaves; so are its results."""

    def function_of_leaves(s: list[jax.Array], d: list[jax.Array], *rest: Any) -> list[jax.Array]:
        return floats(function(refill(state, s), refill(drive, d), *rest))

    return function_of_leaves


def pull(function: Callable[..., Any], cotangent: Any, *arguments: Any) -> Any:
    """Returns the cotangents of a function's arguments from that of its result."""
    return jax.vjp(function, *arguments)[1](cotangent)


def add(some: list[jax.Array], more: list[jax.Array]) -> list[jax.Array]:
    """Returns the sums of two lists of arrays."""
    return [a + b for a, b in zip(some, more, strict=True)]


def row(tree: Any, t: jax.Array | int) -> Any:
    """Returns row t of every leaf."""
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, t, keepdims=False), tree)
