"""The fast engine: the backward loop carries the adjoint and nothing else.

    lambda_t = dL/ds_t + (ds_{t+1}/ds_t)^T lambda_{t+1},      dL/dtheta = sum_t (dstep/dtheta)^T lambda_t

Differentiating `lax.scan` as it stands makes dL/dW_h inside the backward loop, by a thin product a step, and reads and
writes the whole of it every time. Here the sums over t, and the gradients of the inputs, are large products after the
loop (as in cuDNN: Appleyard et al. 2016, arXiv:1604.01946). Nothing is derived by hand: all are `jax.vjp` of the cell's
own functions, to which all steps of all sequences are one batch.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, mesh
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines.scan import Scan
from rnn_jax.trees import floats, refill


@dataclasses.dataclass(frozen=True)
class Hoisted:
    """For any cell; most is won for one that is split into `recurrent` and `activate`.

    Inputs are projected inside the loop, where the product is used while it is in the cache. Of a split cell the
    arguments of `activate` are kept, so that the backward loop has one product a step (of a cell that only reads their
    sum, as the LSTM, that sum); of any other cell the drives are, and the step is computed again. What was kept gives
    its place to its own cotangent, so nothing else of its size is written. Or nothing is kept but the states, which are
    the result: the backward pass then goes by segments of steps, and computes what it needs of a segment again, all its
    steps in one product. Either way the memory of the backward pass is O(T).

    JAX refuses forward-mode differentiation (`jax.jvp`, `jax.jacfwd`, `jax.linearize`) of what it computed, though not
    of its gradient: use `Scan` there.

    Args:
      unroll: as `Scan`'s.
      keep: whether the arguments of every step are kept; None means where that is faster: where they are not large, or
        dear to compute again.

    Raises:
      TypeError: where keep is not a boolean.
      ValueError: where unroll is not a positive integer.
    """

    unroll: int = 1
    keep: bool | None = None

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.unroll, "Hoisted: unroll")
        if not (self.keep is None or isinstance(self.keep, bool)):
            raise TypeError(f"Hoisted: keep must be True, False or None, got {self.keep!r}")

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        if not len(jax.tree.leaves(inputs)[0]):  # no row can be taken of no rows
            return Scan()(cell, params, state, inputs)
        return _solve(self, cell, params, state, inputs)


# Steps that are computed again at once: enough for a thick product, few enough for the cache.
SEGMENT = 25
# Keeping pays where an array costs more arithmetic than this for each of its numbers, ...
DEAR = 250  # floating-point operations
# ... and where memory is not fresh: a block this large, the C library takes from the system anew each time, which costs
# more than to write it (glibc's largest M_MMAP_THRESHOLD).
FRESH = 2**25  # bytes


class _Residuals(NamedTuple):
    """What the backward pass needs; time-major but for the first two."""

    params: Params
    state: State  # s_0
    states: State  # s_1..s_T
    inputs: Any
    kept: Any  # (drive, r), or None; r is None if the cell is not split, or if the drive has taken it up


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
    final, states, _ = _run(engine, cell, params, state, inputs, keep=False)
    return final, states


def _run(
    engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any, keep: bool
) -> tuple[State, State, Any]:
    def body(state: State, x: Any) -> tuple[Any, Any]:
        drive, r = _arguments(cell, params, state, x)
        state = _advance(cell, params, state, drive, r)
        return state, (state, (drive, r) if keep else None)

    final, (states, kept) = jax.lax.scan(body, state, inputs, unroll=engine.unroll)
    return final, states, kept


def _forward(engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[Any, _Residuals]:
    keep = _keeping_pays(cell, params, state, inputs) if engine.keep is None else engine.keep
    final, states, kept = _run(engine, cell, params, state, inputs, keep)
    return (final, states), _Residuals(params, state, states, inputs, kept)


def _keeping_pays(cell: Cell, params: Params, state: State, inputs: Any) -> bool:
    arguments = jax.eval_shape(lambda p, s, xs: _arguments(cell, p, s, _row(xs, 0)), params, state, inputs)
    steps, *batch, features = jax.tree.leaves(inputs)[0].shape
    numbers = sum(leaf.size for leaf in floats(arguments))  # of a step
    kept_bytes = steps * sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arguments))
    # Additions and multiplications by the weights; of a cell that is not split, by those of its projection alone.
    terms = math.prod(batch) * sum(leaf.size for leaf in floats(params)) if cell.is_split else numbers * features
    # Of segments each would have its own sum of gradients over devices.
    return mesh.size("data") > 1 or kept_bytes < FRESH or 2 * terms > DEAR * numbers


def _backward(engine: Hoisted, cell: Cell, residuals: _Residuals, cotangents: Any) -> tuple[Any, Any, Any]:
    params, state, states, inputs, kept = residuals
    of_final, of_states = (floats(of, like) for of, like in zip(cotangents, (state, states), strict=True))
    steps = len(jax.tree.leaves(inputs)[0])
    carry = (of_final, jax.tree.map(jnp.zeros_like, floats(params)))
    if kept is not None:
        (of_first, of_params), of_inputs = _of_segment(engine, cell, residuals, of_states, carry)
    else:

        def segment(found: Any, start: jax.Array, length: int) -> Any:
            carry, of_inputs = found
            first = jax.tree.map(
                lambda s, s_0: jnp.where(start > 0, s, s_0), _row(states, jnp.maximum(start - 1, 0)), state
            )
            cut = functools.partial(jax.lax.dynamic_slice_in_dim, start_index=start, slice_size=length)
            its_states, its_inputs, of_its_states = jax.tree.map(cut, (states, inputs, of_states))
            part = _Residuals(params, first, its_states, its_inputs, None)
            carry, of_its_inputs = _of_segment(engine, cell, part, of_its_states, carry)
            put = functools.partial(jax.lax.dynamic_update_slice_in_dim, start_index=start, axis=0)
            return carry, list(map(put, of_inputs, of_its_inputs))

        found = (carry, jax.tree.map(jnp.zeros_like, floats(inputs)))
        length = min(SEGMENT, steps)
        whole = steps - steps % length
        if whole < steps:
            found = segment(found, jnp.array(whole), steps - whole)
        starts = jnp.arange(0, whole, length)
        found, _ = jax.lax.scan(lambda found, start: (segment(found, start, length), None), found, starts, reverse=True)
        (of_first, of_params), of_inputs = found
    pairs = ((params, of_params), (state, of_first), (inputs, of_inputs))
    of_params, of_state, of_inputs = (refill(jax.tree.map(_no_tangent, of), leaves) for of, leaves in pairs)
    return of_params, of_state, of_inputs


def _of_segment(engine: Hoisted, cell: Any, residuals: _Residuals, of_states: Any, carry: Any) -> Any:
    """The backward pass over the consecutive steps that the residuals are of.

    Args:
      engine: not its `keep`.
      cell: as `__call__`'s.
      residuals: without `kept`, that is computed again.
      of_states: dL/ds_t, through no later state.
      carry: lambda after the last step, without dL/ds there; dL/dtheta of what is after it.

    Returns:
      The carry of the steps before, and dL/dx_t.
    """
    params, first, states, inputs, kept = residuals
    adjoint, of_params = carry
    in_place = kept is not None
    # All steps and sequences as one batch: of two axes to sum over, XLA makes a transposed copy. Where devices share
    # the sequences they stay an axis of their own, else all steps of all of them would be gathered first.
    shape = jax.tree.leaves(inputs)[0].shape[:-1]
    whole = (-1,) if mesh.size("data") == 1 else shape
    fold = functools.partial(jax.tree.map, lambda leaf: jnp.reshape(leaf, (*whole, *leaf.shape[len(shape) :])))
    all_before = fold(jax.tree.map(lambda s_0, all_: jnp.concatenate([s_0[None], all_[:-1]]), first, states))
    if kept is None:
        kept = _arguments(cell, params, all_before, fold(inputs))
        kept = jax.tree.map(lambda leaf: jnp.reshape(leaf, (*shape, *leaf.shape[len(whole) :])), kept)

    # The adjoint's product is with W_h^T, of which XLA makes a copy at every step on a CPU, so one is made before the
    # loop, that turns it back where it costs nothing. Of a single sequence it reads W_h as it lies.
    once = math.prod(shape[1:]) > 1 and mesh.size("model") == 1 and _is_plain_product(cell, params, first)
    turn = functools.partial(jax.tree.map, _transposed) if once else lambda tree: tree
    turned = turn(params)

    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        adjoint, places, ahead = carry
        t, of_state, row = x
        earlier = _row(states, jnp.maximum(t - 1, 0))
        before = jax.tree.map(lambda s, s_0: jnp.where(t > 0, s, s_0), earlier, first)
        drive, r = mesh.gather_model(ahead if in_place else row)
        adjoint = _plus(adjoint, of_state)
        advance = _parts(lambda s, d, r: _advance(cell, params, s, d, r), before, drive)
        of_s, of_d, of_r = mesh.gather_model(_pull(advance, adjoint, floats(before), floats(drive), r))
        if cell.is_split:
            weights = turn(turned)
            product = _parts(lambda s, d: cell.recurrent(weights, cell.enter(weights, s, d)), before, drive)
            more_s, more_d = _pull(product, [of_d[0] if r is None else of_r], floats(before), floats(drive))
            of_s, of_d = _plus(of_s, more_s), _plus(of_d, more_d)
        of_row = (refill(drive, of_d), of_r)
        if not in_place:  # of a short segment fresh memory costs nothing
            return (of_s, None, None), (adjoint, of_row)
        # What was kept of this step has been read, so its cotangent takes its place: fresh memory costs more than work.
        # The row of the step before is read of what was written, else XLA copies the whole at every step at some sizes.
        places = _put(places, of_row, t)
        return (of_s, places, _row(places, jnp.maximum(t - 1, 0))), (adjoint, None)

    steps = jnp.arange(len(jax.tree.leaves(inputs)[0]))
    places: Any = kept if in_place else None
    rows: Any = None if in_place else kept
    (adjoint, places, _), (adjoints, of_rows) = jax.lax.scan(
        body, (adjoint, places, _row(places, -1)), (steps, of_states, rows), reverse=True, unroll=engine.unroll
    )
    of_drives, of_rs = places if in_place else of_rows

    # The sums over time. Of a function that does not read the parameters nothing is left when the program is compiled.
    drives, rs = fold(kept)
    of_drives, of_product = floats(fold(of_drives)), floats(fold(of_drives))[0] if rs is None else fold(of_rs)
    more, of_inputs = _pull(lambda p, x: floats(cell.project(p, fold(x))), of_drives, params, inputs)
    of_params = _plus(of_params, floats(more, params))
    (more,) = _pull(lambda p: floats(_advance(cell, p, all_before, drives, rs)), fold(adjoints), params)
    of_params = _plus(of_params, floats(more, params))
    if cell.is_split:
        (more,) = _pull(lambda p: floats(cell.recurrent(p, cell.enter(p, all_before, drives))), [of_product], params)
        of_params = _plus(of_params, floats(more, params))
    return (adjoint, of_params), floats(of_inputs, inputs)


def _arguments(cell: Any, params: Params, state: State, x: Any) -> tuple[Any, jax.Array | None]:
    """What `_advance` reads beside the state: the drive, and r where it is not already in it."""
    drive = cell.project(params, x)
    if not cell.is_split:
        return drive, None
    r = cell.recurrent(params, cell.enter(params, state, drive))
    if _reads_only_the_sum(cell, params, state, drive, r):
        return mesh.gather_model(refill(drive, [floats(drive)[0] + r])), None
    return mesh.gather_model((drive, r))


def _transposed(leaf: jax.Array) -> jax.Array:
    return jnp.swapaxes(leaf, -1, -2) if leaf.ndim > 1 else leaf


def _row(tree: Any, t: jax.Array | int) -> Any:
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, t, keepdims=False), tree)


def _put(tree: Any, row: Any, t: jax.Array) -> Any:
    return jax.tree.map(lambda leaf, new: jax.lax.dynamic_update_index_in_dim(leaf, new, t, 0), tree, row)


_solve.defvjp(_forward, _backward)


def _advance(cell: Any, params: Params, state: State, drive: Any, r: jax.Array | None) -> State:
    """A step by what `_arguments` tells."""
    if not cell.is_split:
        return mesh.gather_model(cell.step(params, state, drive))
    return mesh.gather_model(cell.activate(params, state, drive, jnp.zeros_like(floats(drive)[0]) if r is None else r))


def _reads_only_the_sum(cell: Any, params: Params, state: State, drive: Any, r: jax.Array) -> bool:
    """Whether `activate` is a function of drive + r, as a look at its operations tells.

    Then one array is kept in place of two, and their two cotangents are one.
    """
    if [(d.shape, d.dtype) for d in floats(drive)] != [(r.shape, r.dtype)]:
        return False

    def step(d: jax.Array, r: jax.Array) -> Any:
        whole = refill(drive, [d])
        return cell.enter(params, state, whole), cell.activate(params, state, whole, r)

    jaxpr = jax.make_jaxpr(step)(floats(drive)[0], r).jaxpr
    both = set(jaxpr.invars)
    readers = [eqn for eqn in jaxpr.eqns if both & {v for v in eqn.invars if not hasattr(v, "val")}]
    adds = len(readers) == 1 and readers[0].primitive.name == "add" and set(readers[0].invars) == both
    return adds and not both & {v for v in jaxpr.outvars if not hasattr(v, "val")}


def _is_plain_product(cell: Any, params: Params, state: State) -> bool:
    """Whether `recurrent` is JAX's own product, and not one that lays out its weights itself (of bfloat16, say)."""
    if not cell.is_split:
        return False
    return any(eqn.primitive.name == "dot_general" for eqn in jax.make_jaxpr(cell.recurrent)(params, state).eqns)


def _parts(function: Callable[..., Any], state: State, drive: Any) -> Callable[..., list[jax.Array]]:
    """A function of (state, drive, ...) as one of their floating-point leaves, the others fixed; so its results."""

    def of_floats(s: list[jax.Array], d: list[jax.Array], *rest: Any) -> list[jax.Array]:
        return floats(function(refill(state, s), refill(drive, d), *rest))

    return of_floats


def _pull(function: Callable[..., Any], cotangent: Any, *arguments: Any) -> Any:
    return jax.vjp(function, *arguments)[1](cotangent)


def _plus(some: list[jax.Array], more: list[jax.Array]) -> list[jax.Array]:
    return [a + b for a, b in zip(some, more, strict=True)]


def _no_tangent(leaf: jax.Array) -> Any:
    """What JAX wants for the cotangent of integers; in the place of floats it is refilled."""
    return leaf if jnp.issubdtype(leaf.dtype, jnp.inexact) else np.zeros(leaf.shape, jax.dtypes.float0)
