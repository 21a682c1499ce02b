"""Runs a cell or layer over sequences: argument checks, lengths, resets, direction. An engine solves the recurrence."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import arrays, masking, mesh, noise, parameters, static
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.layer import Layer, UnrollOptions

_BATCH = slice(1, -1)  # in the shape of xs


def unroll(
    cell: Cell,
    params: Params,
    xs: Any,
    state: State | None = None,
    *,
    lengths: Any = None,
    resets: Any = None,
    reverse: bool = False,
    engine: Engine = Hoisted(),
    key: noise.Key = noise.NOT_GIVEN,
) -> tuple[State, Any]:
    """Unrolls `cell` over the leading (time) axis of `xs`.

        s_t = step(params, s_{t-1}, project(params, x_t)),   y_t = output(params, s_t, x_t)

    >>> from rnn_jax import LSTM
    >>> cell = LSTM(input_size=2, hidden_size=3)
    >>> params = cell.init(jax.random.key(0))
    >>> xs = jnp.ones((10, 4, 2))  # [T, batch, input_size]
    >>> final_state, ys = unroll(cell, params, xs, lengths=[10, 7, 7, 1])
    >>> ys.shape, final_state.c.shape
    ((10, 4, 3), (4, 3))

    Sequences shorter than T start at step 0. Their padding may hold anything, NaN included: it reaches no output and no
    gradient. To continue after a call, give the next one its final state, and the remaining steps as lengths,
    `jnp.clip(jnp.asarray(lengths, jnp.int32) - steps_done, 0, T)`: a difference of unsigned integers would wrap.

    Left-padded data, with each sequence at the *end* of T, is such data in reverse time:

        final_state, ys = unroll(cell, params, xs[::-1], lengths=lengths, reverse=True)      # ys[::-1] is aligned to xs

    Args:
      cell: cell or layer.
      params: its parameters, from `cell.init(key)`.
      xs: inputs [T, *batch, input_size], floating point, with any number of batch dimensions. For a wrapper cell that
        takes more than x_t, a pytree whose first leaf is the sequence; all leaves are [T, *batch, ...].
      state: state before the first step; None means `cell.initial_state`. A final state continues its sequence.
      lengths: steps of each sequence, integers [*batch] from 0 to T; None means T. Beyond its length a sequence's state
        is frozen and its outputs are zero, so its final state is the one at its length; for length 0, the state before
        the first step. Lengths may be traced: other lengths do not recompile. Traced values cannot be checked: below 0
        they mean 0, above T they mean T.
      resets: booleans [T, *batch]; True starts an episode: the cell's initial state (not `state`) is put in place
        *before* the step. Equal to running the episodes separately. With `reverse` the episodes are the same, each run
        from its end; a reset at step 0, the last one in reverse time, then changes nothing.
      reverse: whether to run each sequence from its last step to its first. Outputs keep the positions of their inputs:
        y_t depends on x_t and later inputs, and the final state is the one at step 0.
      engine: solver of the recurrence, see `rnn_jax.engines`.
      key: random key for cells and layers with noise (dropout, zoneout), which must be given one; None means
        evaluation.

    Returns:
      The final state, and the outputs [T, *batch, ...].

    Raises:
      TypeError: if `cell` or `engine` is a class or has attributes that are not fields, `xs` is not floating
        point, `lengths` are not integers, or `resets` are not booleans.
      ValueError: if `params` are not the cell's; if `xs`, `state`, `lengths` or `resets` has the wrong rank, width,
        batch shape or dtype; if a length is not in [0, T], the cell's step returns a state of another shape or dtype
        than it got, or there is noise and `key` is not given.
    """
    static.check(engine, "unroll: engine")
    if not callable(engine):
        raise TypeError(f"unroll: engine must be an engine such as Hoisted() or Scan(), got {engine!r}")
    given = checked(cell, params, xs, state, lengths=lengths, resets=resets)
    xs, state, lengths, resets, valid = given.xs, given.state, given.lengths, given.resets, given.valid
    if reverse:
        xs = masking.flip(xs, lengths)
        resets = None if resets is None else masking.flip_resets(resets, lengths)
    if isinstance(cell, Layer):
        final_state, ys = cell.unroll(params, xs, state, UnrollOptions(lengths, resets, engine, key))
    else:
        xs = noise.join(xs, noise.draw(cell, params, key, given.shape))
        params = cell.prepare(params)
        _check_step(cell, params, state, xs)
        params, state = mesh.vary_together(xs, params, state)
        if valid is None and resets is None:
            final_state, states = engine(cell, params, state, xs)
        else:
            flagged = masking.Flagged(xs, valid, resets)
            final_state, states = engine(masking.Masked(cell), params, state, flagged)
        ys = cell.output(params, states, xs)
    ys = masking.blank(ys, valid)
    return final_state, masking.flip(ys, lengths) if reverse else ys


class Sequences(NamedTuple):
    """The checked arguments of `unroll`."""

    xs: Any  # zero in the padding
    state: State
    lengths: jax.Array | None  # within [0, T]
    resets: jax.Array | None
    valid: jax.Array | None  # [T, *batch]: the step is before its sequence's end; None if all are
    shape: tuple[int, ...]  # [T, *batch]


def checked(
    cell: Cell, params: Params, xs: Any, state: State | None = None, *, lengths: Any = None, resets: Any = None
) -> Sequences:
    """Checks the arguments of `unroll`; raises its errors."""
    static.refuse_class(cell, "unroll: cell")
    if not isinstance(cell, Cell):
        raise TypeError(f"unroll: cell must be a rnn_jax.Cell, got {type(cell).__name__}; derive from Cell")
    static.check(cell, "unroll: cell")
    xs = arrays.native(xs, "unroll")
    shape = _check_inputs(cell, xs)
    parameters.check(cell, params)
    steps, batch_shape = shape[0], shape[1:]
    initial = jax.eval_shape(lambda p: cell.initial_state(p, batch_shape), params)
    if state is None:
        state = cell.initial_state(params, batch_shape)
    else:
        state = arrays.native(state, "unroll", "state")
        _check_same(f"unroll: state for {type(cell).__name__} and xs of batch shape {batch_shape}", state, initial)
    state = mesh.split_as(xs, state, _BATCH)
    lengths = mesh.split_as(xs, masking.checked_lengths("unroll", lengths, steps, batch_shape, "xs"), _BATCH)
    resets = mesh.split_as(xs, _check_resets(resets, shape), slice(-1))
    valid = None if lengths is None else masking.before_end(lengths, steps)
    return Sequences(masking.blank(xs, valid), state, lengths, resets, valid, shape)


def _check_inputs(cell: Cell, xs: Any) -> tuple[int, ...]:
    """Checks xs and returns its [T, *batch]."""
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
    return shape[:-1]


def _check_resets(resets: Any, shape: tuple[int, ...]) -> jax.Array | None:
    if resets is None:
        return None
    resets = jnp.asarray(arrays.native(resets, "unroll", "resets"))
    if resets.dtype != jnp.bool_:
        raise TypeError(f"unroll: resets must be booleans, got {resets.dtype}; pass resets != 0")
    if resets.shape != shape:
        raise ValueError(f"unroll: resets must be [T, *batch] = {list(shape)}, got shape {list(resets.shape)}")
    return resets


def _check_step(cell: Cell, params: Params, state: State, xs: Any) -> None:
    initial = jax.eval_shape(lambda s: s, state)
    dtype = jax.tree.leaves(xs)[0].dtype
    if jax.tree.leaves(xs)[0].shape[0]:
        x_0 = jax.tree.map(lambda x: x[0], xs)
        stepped = jax.eval_shape(lambda p, s, x: cell.step(p, s, cell.project(p, x)), params, state, x_0)
        _check_same(f"unroll: state after a step of {type(cell).__name__} on xs of dtype {dtype}", stepped, initial)


def _check_same(what: str, got: Any, expected: Any) -> None:
    """Refuses a pytree whose structure, shapes or dtypes are not the expected ones."""
    got_tree: Any = jax.tree.structure(got)
    expected_tree: Any = jax.tree.structure(expected)
    if got_tree != expected_tree:
        raise ValueError(f"{what}: must have the structure {expected_tree}, got {got_tree}")
    for (path, leaf), like in zip(jax.tree.leaves_with_path(got), jax.tree.leaves(expected), strict=True):
        if jnp.shape(leaf) != like.shape or jnp.result_type(leaf) != like.dtype:
            name = jax.tree_util.keystr(path) or "the array"
            raise ValueError(
                f"{what}: {name} must be {like.dtype}{list(like.shape)}, "
                f"got {jnp.result_type(leaf)}{list(jnp.shape(leaf))}"
            )
