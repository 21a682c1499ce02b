"""Sequences of different lengths and with episode boundaries inside, in one rectangular batch.

Lengths and boundaries reach a step as flags in its drive, so no cell and no engine knows of them.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import integers
from rnn_jax.cell import Params, State
from rnn_jax.linear import Cut, spread
from rnn_jax.wrapper import Advance, Wrapper


class Flagged(NamedTuple):
    """An input (or drive) and the flags of its step; a flag is None if no sequence needs it."""

    x: Any
    valid: jax.Array | None  # [*batch]: the step is before the sequence's end
    reset: jax.Array | None  # [*batch]: an episode starts with the step


@dataclasses.dataclass(frozen=True)
class Masked(Wrapper):
    """`cell` with inputs `Flagged(x, valid, reset)`.

        s_t = valid_t ? step(reset_t ? s_0 : s_{t-1}, d_t) : s_{t-1}

    with s_0 the cell's own initial state.
    """

    def inner_input(self, params: Params, x: Flagged) -> Any:
        return x.x

    def project(self, params: Params, x: Flagged) -> Flagged:
        return x._replace(x=super().project(params, x))

    def around(self, params: Params, state: State, drive: Flagged, advance: Advance) -> State:
        after = advance(params, self._after_reset(params, state, drive), drive.x)
        return after if drive.valid is None else select(drive.valid, after, state)

    def linear(self, params: Params, drive: Flagged) -> tuple[Any, State]:
        transition, b = super().linear(params, drive.x)
        valid, reset = drive.valid, drive.reset
        if reset is not None:
            fresh = transition.apply(self.initial_state(params, reset.shape))
            b = select(reset, jax.tree.map(jnp.add, fresh, b), b)
        if valid is not None:
            transition = transition.keep(jax.tree.map(lambda leaf: ~spread(valid, leaf), b))
            b = blank(b, valid)
            reset = None if reset is None else reset & valid
        return transition if reset is None else Cut(transition, reset), b

    def enter(self, params: Params, state: State, drive: Flagged) -> State:
        return super().enter(params, self._after_reset(params, state, drive), drive.x)

    def _after_reset(self, params: Params, state: State, drive: Flagged) -> State:
        if drive.reset is None:
            return state
        return select(drive.reset, self.initial_state(params, drive.reset.shape), state)


def select(flags: jax.Array, yes: Any, no: Any) -> Any:
    """Returns `yes` where flags [*leading] are True, else `no`; both are pytrees with leaves [*leading, ...]."""
    return jax.tree.map(lambda y, n: jnp.where(spread(flags, y), y, n), yes, no)


def before_end(lengths: Any, steps: int) -> jax.Array:
    """Returns flags [T, *batch] of the steps before each sequence's end, from lengths, integers [*batch]."""
    lengths = jnp.asarray(integers.int32(lengths, "lengths"))
    return _steps(steps, lengths.ndim) < lengths[None]


def checked_lengths(owner: str, lengths: Any, steps: int, batch_shape: tuple[int, ...], like: str) -> jax.Array | None:
    """Returns lengths as an array within [0, T], after checks; None stays None.

    Args:
      owner: function or class in messages.
      lengths: integers [*batch], or None.
      steps: T.
      batch_shape: expected shape.
      like: name of the argument that determines it, for messages.

    Raises:
      TypeError: if lengths are not integers.
      ValueError: if they have another shape, or (unless they are traced) one is not in [0, T].
    """
    if lengths is None:
        return None
    lengths = integers.int32(lengths, f"{owner}: lengths")
    if lengths.shape != batch_shape:
        raise ValueError(
            f"{owner}: lengths must have the batch shape of {like}, {list(batch_shape)}, got shape "
            f"{list(lengths.shape)}"
        )
    if not isinstance(lengths, jax.core.Tracer):
        known = np.asarray(lengths)
        wrong = known[(known < 0) | (known > steps)]
        if wrong.size:
            raise ValueError(f"{owner}: lengths must be from 0 to T = {steps}, got {wrong[0]}")
    return jnp.clip(jnp.asarray(lengths), 0, steps)


def blank(tree: Any, valid: jax.Array | None) -> Any:
    """Sets leaves [T, *batch, ...] to zero where valid [T, *batch] is False.

    Inputs are blanked *before* anything is computed from them: an unused NaN would reach the gradients, as 0 * NaN.
    """
    if valid is None:
        return tree
    return jax.tree.map(lambda leaf: jnp.where(spread(valid, leaf), leaf, jnp.zeros_like(leaf)), tree)


def flip(tree: Any, lengths: Any) -> Any:
    """Reverses each sequence in time within its own length and leaves padding in place; its own inverse.

    >>> flip(jnp.array([[1], [2], [0]]), jnp.array([2])).ravel()
    Array([2, 1, 0], dtype=int32)
    """
    if lengths is None:
        return jax.tree.map(lambda leaf: jnp.flip(leaf, 0), tree)
    lengths = jnp.asarray(integers.int32(lengths, "lengths"))

    def flip_leaf(leaf: jax.Array) -> jax.Array:
        t = _steps(leaf.shape[0], lengths.ndim)
        source = jnp.where(t < lengths[None], lengths[None] - 1 - t, t)

        # Whole rows are moved: half the time of `take_along_axis`, which moves single numbers. Each sequence is a batch
        # of its own, so that XLA gathers nothing from other devices.
        def take(sequence: jax.Array, steps: jax.Array) -> jax.Array:
            return sequence.at[steps].get(unique_indices=True, mode="promise_in_bounds")

        for _ in range(lengths.ndim):
            take = jax.vmap(take, 1, 1)
        return take(jnp.asarray(leaf), source)

    return jax.tree.map(flip_leaf, tree)


def flip_resets(resets: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """Returns the same episode boundaries for sequences reversed by `flip`.

    A reset at t is a boundary between t-1 and t: in reverse time, the episode on its other side starts at t-1.
    """
    starts = jnp.concatenate([resets[1:], jnp.zeros_like(resets[:1])])
    if lengths is not None:  # resets in the padding are no boundary of the last step
        starts &= before_end(lengths - 1, resets.shape[0])
    return flip(starts, lengths)


def _steps(count: int, batch_dims: int) -> jax.Array:
    return jnp.reshape(jnp.arange(count), (count,) + (1,) * batch_dims)
