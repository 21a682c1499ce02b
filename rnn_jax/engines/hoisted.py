"""The fast engine: its backward loop carries the adjoint and nothing else.

    lambda_t = dL/ds_t + (ds_{t+1}/ds_t)^T lambda_{t+1},      dL/dtheta = sum_t (dstep/dtheta)^T lambda_t

`jax.grad` through `lax.scan` sums dL/dW_h inside the backward loop: at each step a thin product, which reads and writes
all of dL/dW_h. Here the sums over time and the gradients of the inputs are large products after the loop (as in cuDNN:
Appleyard et al. 2016, arXiv:1604.01946). No derivative is written by hand: each line below is a `jax.vjp` of the cell's
own functions, for which all steps of all sequences are one batch. For a `SplitCell`:

    forward                                                                 _run
        for t = 1..T:
            d_t = project(x_t),  r_t = recurrent(s_{t-1})
            s_t = activate(s_{t-1}, d_t, r_t)
        keep all s_t, and all (d_t, r_t) or none of them

    backward, over the whole sequence if (d_t, r_t) are kept                _backward_segment
    otherwise by segments from the last, recomputing (d_t, r_t)             _backward_segments
        for t = T..1:                                                       _adjoint_loop
            lambda_t = dL/ds_t + s_bar
            s_bar, d_bar_t, r_bar_t = vjp of activate with lambda_t         _step_adjoint
            s_bar += vjp of recurrent with r_bar_t
        grad_params = vjp of project, activate and recurrent with all       _sums_over_time
            d_bar, lambda and r_bar
        grad_inputs = vjp of project with all d_bar

For any other cell `step` takes the place of `activate`, and there is no r. A name ends in `_bar` for a cotangent of the
loop's arrays, and starts with `grad_` for a gradient that JAX gets or gives. `rnn_jax.engines.decisions`
decides which arrays are kept, recomputed or stored transposed.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, mesh
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import decisions, reverse_only
from rnn_jax.engines.scan import Scan
from rnn_jax.static import Static
from rnn_jax.trees import floats, refill


@dataclasses.dataclass(frozen=True)
class Hoisted(Static):
    """For any cell; the gain is largest for a `SplitCell`. The default engine.

    The backward loop has one product with the state in each step; gradients of parameters and inputs are computed after
    it, for all steps at once. Each step's arguments (the drive and the recurrent product, or their sum if the cell
    reads nothing else) are either kept or recomputed from the states. The memory of the backward pass is O(T) in both
    cases.

    Forward-mode differentiation (`jax.jvp`, `jax.jacfwd`) of the result, though not of its gradient, is refused: use
    `Scan` for that.

    Sequences must not depend on one another: gradients see all steps of all sequences as one batch, over which a mean
    (batch normalisation) would be another one than in a step. A step that reduces over its batch is found by its
    operations, and runs as by `Scan`.

    >>> from rnn_jax import LSTM, unroll
    >>> cell = LSTM(2, 3)
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((10, 4, 2))
    >>> jax.grad(lambda p: unroll(cell, p, xs, engine=Hoisted())[1].sum())(params).w_h.shape
    (3, 12)

    Args:
      unroll: number of steps in one iteration of the compiled loops, as in `Scan`.
      keep: whether the arguments of every step are kept; None means if that is faster, see `decisions.keep_arguments`.

    Raises:
      TypeError: if keep is not a boolean or None; or if the result is differentiated in forward mode.
      ValueError: if unroll is not a positive integer.
    """

    unroll: int = 1
    keep: bool | None = None

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.unroll, "Hoisted: unroll")
        if not (self.keep is None or isinstance(self.keep, bool)):
            raise TypeError(f"Hoisted: keep must be True, False or None, got {self.keep!r}")

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        empty = not len(jax.tree.leaves(inputs)[0])  # the backward loop reads a first row
        if empty or decisions.mixes_sequences(cell, params, state, inputs):
            return Scan(self.unroll)(cell, params, state, inputs)
        return _solve(self, cell, *reverse_only.marked(self, (params, state, inputs)))


class _Residuals(NamedTuple):
    """Arrays that the backward pass reads; all but the first two are time-major."""

    params: Params
    state: State  # s_0
    states: State  # s_1..s_T
    inputs: Any
    kept: Any  # the arguments (drive, r) of every step, see `_arguments`; None if they are recomputed


class _Carry(NamedTuple):
    """Results of the backward pass over the steps after a segment."""

    adjoint: list[jax.Array]  # (ds_{t+1}/ds_t)^T lambda_{t+1} for the segment's last step t
    grad_params: list[jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _solve(engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
    final, states, _ = _run(engine, cell, params, state, inputs, keep=False)
    return final, states


def _run(
    engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any, keep: bool
) -> tuple[State, State, Any]:
    """Returns the last state, all states, and all steps' arguments if they are kept."""

    def body(state: State, x: Any) -> tuple[Any, Any]:
        drive, r = _arguments(cell, params, state, x)
        state = _advance(cell, params, state, drive, r)
        return state, (state, (drive, r) if keep else None)

    final, (states, kept) = jax.lax.scan(body, state, inputs, unroll=engine.unroll)
    return final, states, kept


def _forward(engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[Any, _Residuals]:
    keep = _keeps(engine, cell, params, state, inputs)
    final, states, kept = _run(engine, cell, params, state, inputs, keep)
    return (final, states), _Residuals(params, state, states, inputs, kept)


def _keeps(engine: Hoisted, cell: Cell, params: Params, state: State, inputs: Any) -> bool:
    if engine.keep is not None:
        return engine.keep
    arguments = jax.eval_shape(lambda p, s, xs: _arguments(cell, p, s, _row(xs, 0)), params, state, inputs)
    return decisions.keep_arguments(cell, params, arguments, inputs)


def _backward(engine: Hoisted, cell: Cell, residuals: _Residuals, cotangents: Any) -> tuple[Any, Any, Any]:
    """Returns the gradients of params, state and inputs, from those of the two results of `_solve`."""
    params, state, states, inputs, kept = residuals
    grad_final, grad_states = (floats(grad, like) for grad, like in zip(cotangents, (state, states), strict=True))
    carry = _Carry(grad_final, jax.tree.map(jnp.zeros_like, floats(params)))
    backward = _backward_segments if kept is None else _backward_segment
    (grad_state, grad_params), grad_inputs = backward(engine, cell, residuals, grad_states, carry)
    gradients = ((params, grad_params), (state, grad_state), (inputs, grad_inputs))
    grad_params, grad_state, grad_inputs = (refill(jax.tree.map(_no_tangent, of), grads) for of, grads in gradients)
    return grad_params, grad_state, grad_inputs


_solve.defvjp(_forward, _backward)


def _backward_segments(
    engine: Hoisted, cell: Cell, residuals: _Residuals, grad_states: list[jax.Array], carry: _Carry
) -> tuple[_Carry, list[jax.Array]]:
    """Computes the results of `_backward_segment` for all steps segment by segment, the last one first."""
    params, state, states, inputs, _ = residuals

    def segment(results: Any, start: jax.Array, length: int) -> Any:
        carry, grad_inputs = results
        previous = _row(states, jnp.maximum(start - 1, 0))
        first = jax.tree.map(lambda s, s_0: jnp.where(start > 0, s, s_0), previous, state)
        cut = functools.partial(jax.lax.dynamic_slice_in_dim, start_index=start, slice_size=length)
        part_states, part_inputs, part_grad_states = jax.tree.map(cut, (states, inputs, grad_states))
        part = _Residuals(params, first, part_states, part_inputs, None)
        carry, part_grad_inputs = _backward_segment(engine, cell, part, part_grad_states, carry)
        put = functools.partial(jax.lax.dynamic_update_slice_in_dim, start_index=start, axis=0)
        return carry, list(map(put, grad_inputs, part_grad_inputs))

    results = (carry, jax.tree.map(jnp.zeros_like, floats(inputs)))
    steps = len(jax.tree.leaves(inputs)[0])
    length = min(decisions.SEGMENT, steps)
    whole = steps - steps % length
    if whole < steps:
        results = segment(results, jnp.array(whole), steps - whole)
    starts = jnp.arange(0, whole, length)
    results, _ = jax.lax.scan(lambda r, start: (segment(r, start, length), None), results, starts, reverse=True)
    return results


def _backward_segment(
    engine: Hoisted, cell: Cell, residuals: _Residuals, grad_states: list[jax.Array], carry: _Carry
) -> tuple[_Carry, list[jax.Array]]:
    """Computes the backward pass over consecutive steps.

    Args:
      engine: engine; its `keep` is not read.
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
        residuals = residuals._replace(kept=unfold(_arguments(cell, params, all_before, fold(inputs))))
    # The memory of a short segment is reused, so its cotangents need not overwrite the arguments.
    adjoint, adjoints, kept_bar = _adjoint_loop(
        engine, cell, residuals, grad_states, carry.adjoint, overwrite=kept is not None
    )
    grad_params, grad_inputs = _sums_over_time(cell, residuals, all_before, kept_bar, adjoints, carry.grad_params)
    return _Carry(adjoint, grad_params), grad_inputs


def _adjoint_loop(
    engine: Hoisted, cell: Any, residuals: _Residuals, grad_states: Any, adjoint: Any, overwrite: bool
) -> tuple[Any, Any, Any]:
    """Returns the adjoint before the first step, all lambda_t, and the cotangents of all steps' arguments.

    With `overwrite`, a step's cotangents take the place of its arguments, which have been read. The next row is read
    from the array that results: otherwise XLA copies the whole array at every step at some sizes (jaxlib 0.10.2).
    """
    params, first, states, inputs, kept = residuals
    weights = _weights(cell, params, first, jax.tree.leaves(inputs)[0].shape[1:-1])

    def body(carry: Any, x: Any) -> tuple[Any, Any]:
        adjoint, buffer, next_row = carry
        t, grad_state, row = x
        previous = _row(states, jnp.maximum(t - 1, 0))
        before = jax.tree.map(lambda s, s_0: jnp.where(t > 0, s, s_0), previous, first)
        drive, r = mesh.gather_model(next_row if overwrite else row)
        adjoint = _add(adjoint, grad_state)
        before_bar, row_bar = _step_adjoint(cell, params, weights, adjoint, before, drive, r)
        if not overwrite:
            return (before_bar, None, None), (adjoint, row_bar)
        buffer = _put(buffer, row_bar, t)
        return (before_bar, buffer, _row(buffer, jnp.maximum(t - 1, 0))), (adjoint, None)

    steps = jnp.arange(len(jax.tree.leaves(inputs)[0]))
    buffer, rows = (kept, None) if overwrite else (None, kept)
    (adjoint, buffer, _), (adjoints, rows_bar) = jax.lax.scan(
        body, (adjoint, buffer, _row(buffer, -1)), (steps, grad_states, rows), reverse=True, unroll=engine.unroll
    )
    return adjoint, adjoints, buffer if overwrite else rows_bar


def _step_adjoint(
    cell: Any, params: Params, weights: Callable[[], Params], adjoint: Any, before: State, drive: Any, r: Any
) -> tuple[list[jax.Array], Any]:
    """Returns the cotangents of s_{t-1} and of the arguments (drive, r) of step t, from lambda_t."""
    advance = _on_floats(lambda s, d, r: _advance(cell, params, s, d, r), before, drive)
    before_bar, drive_bar, r_bar = mesh.gather_model(_pull(advance, adjoint, floats(before), floats(drive), r))
    if cell.is_split:
        w = weights()
        product = _on_floats(lambda s, d: cell.recurrent(w, cell.enter(w, s, d)), before, drive)
        product_bar = [drive_bar[0] if r is None else r_bar]
        more_before, more_drive = _pull(product, product_bar, floats(before), floats(drive))
        before_bar, drive_bar = _add(before_bar, more_before), _add(drive_bar, more_drive)
    return before_bar, (refill(drive, drive_bar), r_bar)


def _sums_over_time(
    cell: Any, residuals: _Residuals, before: State, kept_bar: Any, adjoints: list[jax.Array], grads: list[jax.Array]
) -> tuple[list[jax.Array], list[jax.Array]]:
    """Returns `grads` plus the parameters' gradients over these steps, and the inputs' gradients.

    The term of a function that does not read the parameters is compiled to nothing.
    """
    params, _, _, inputs, kept = residuals
    fold, _ = _folding(inputs)
    drives, rs = fold(kept)
    drives_bar, rs_bar = kept_bar
    drives_bar, product_bar = floats(fold(drives_bar)), floats(fold(drives_bar if rs is None else rs_bar))[0]
    more, grad_inputs = _pull(lambda p, x: floats(cell.project(p, fold(x))), drives_bar, params, inputs)
    grads = _add(grads, floats(more, params))
    (more,) = _pull(lambda p: floats(_advance(cell, p, before, drives, rs)), fold(adjoints), params)
    grads = _add(grads, floats(more, params))
    if cell.is_split:
        (more,) = _pull(lambda p: floats(cell.recurrent(p, cell.enter(p, before, drives))), [product_bar], params)
        grads = _add(grads, floats(more, params))
    return grads, floats(grad_inputs, inputs)


# The two halves of a step: its arguments, and the step itself.


def _arguments(cell: Any, params: Params, state: State, x: Any) -> tuple[Any, jax.Array | None]:
    """Returns the arguments of `_advance` besides the state: drive and r; (drive + r, None) if nothing else is read."""
    drive = cell.project(params, x)
    if not cell.is_split:
        return drive, None
    r = cell.recurrent(params, cell.enter(params, state, drive))
    if decisions.reads_only_sum(cell, params, state, drive, r):
        return mesh.gather_model(refill(drive, [floats(drive)[0] + r])), None
    return mesh.gather_model((drive, r))


def _advance(cell: Any, params: Params, state: State, drive: Any, r: jax.Array | None) -> State:
    """Returns s_t from s_{t-1} and the step's arguments."""
    if not cell.is_split:
        return mesh.gather_model(cell.step(params, state, drive))
    return mesh.gather_model(cell.activate(params, state, drive, jnp.zeros_like(floats(drive)[0]) if r is None else r))


# Layouts of arrays.


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


def _row(tree: Any, t: jax.Array | int) -> Any:
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, t, keepdims=False), tree)


def _put(tree: Any, row: Any, t: jax.Array) -> Any:
    return jax.tree.map(lambda leaf, new: jax.lax.dynamic_update_index_in_dim(leaf, new, t, 0), tree, row)


# Cotangents.


def _on_floats(function: Callable[..., Any], state: State, drive: Any) -> Callable[..., list[jax.Array]]:
    """Returns a function of (state, drive, ...) as one of their floating-point leaves; so are its results."""

    def function_of_leaves(s: list[jax.Array], d: list[jax.Array], *rest: Any) -> list[jax.Array]:
        return floats(function(refill(state, s), refill(drive, d), *rest))

    return function_of_leaves


def _pull(function: Callable[..., Any], cotangent: Any, *arguments: Any) -> Any:
    return jax.vjp(function, *arguments)[1](cotangent)


def _add(some: list[jax.Array], more: list[jax.Array]) -> list[jax.Array]:
    return [a + b for a, b in zip(some, more, strict=True)]


def _no_tangent(leaf: jax.Array) -> Any:
    """Returns JAX's cotangent of an integer array; arrays of floats are refilled and pass unchanged."""
    return leaf if jnp.issubdtype(leaf.dtype, jnp.inexact) else np.zeros(leaf.shape, jax.dtypes.float0)
