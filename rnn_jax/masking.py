"""Sequences of different lengths and with episode boundaries inside, in one rectangular batch.

Lengths and boundaries reach a step as flags in its drive, so no cell and no engine knows of them.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.cell import Params, State
from rnn_jax.linear import Cut, spread
from rnn_jax.wrapper import Advance, Wrapper


class Flagged(NamedTuple):
    """An input (or drive) and the flags of its step; None where no sequence has any."""

    x: Any
    valid: jax.Array | None  # [*batch]: the step is before the sequence's end
    reset: jax.Array | None  # [*batch]: an episode begins with the step


@dataclasses.dataclass(frozen=True)
class Masked(Wrapper):
    """`cell` with inputs `Flagged(x, valid, reset)`.

        s_t = valid_t ? step(reset_t ? s_0 : s_{t-1}, d_t) : s_{t-1}

    with s_0 the cell's own initial state.
    """

    def project(self, params: Params, x: Flagged) -> Flagged:
        return x._replace(x=self.cell.project(params, x.x))

    def around(self, params: Params, state: State, drive: Flagged, advance: Advance) -> State:
        after = advance(params, self._before(params, state, drive), drive.x)
        return after if drive.valid is None else select(drive.valid, after, state)

    def linear(self, params: Params, drive: Flagged) -> tuple[Any, State]:
        transition, b = self.cell.linear(params, drive.x)
        valid, reset = drive.valid, drive.reset
        if reset is not None:
            fresh = transition.apply(self.cell.initial_state(params, reset.shape))
            b = select(reset, jax.tree.map(jnp.add, fresh, b), b)
        if valid is not None:
            transition = transition.keep(jax.tree.map(lambda leaf: ~spread(valid, leaf), b))
            b = blank(b, valid)
            reset = None if reset is None else reset & valid
        return transition if reset is None else Cut(transition, reset), b

    def enter(self, params: Params, state: State, drive: Flagged) -> State:
        return self.cell.enter(params, self._before(params, state, drive), drive.x)

    def _before(self, params: Params, state: State, drive: Flagged) -> State:
        if drive.reset is None:
            return state
        return select(drive.reset, self.cell.initial_state(params, drive.reset.shape), state)

    def output(self, params: Params, state: State, x: Flagged) -> Any:
        return self.cell.output(params, state, x.x)


def select(flags: jax.Array, yes: Any, no: Any) -> Any:
    """`yes` where flags [*leading] are set, else `no`: pytrees alike, leaves [*leading, ...]."""
    return jax.tree.map(lambda y, n: jnp.where(spread(flags, y), y, n), yes, no)


def before_end(lengths: jax.Array, steps: int) -> jax.Array:
    """Flags [T, *batch] of the steps before each sequence's end, lengths [*batch]."""
    return _steps(steps, lengths.ndim) < lengths[None]


def blank(tree: Any, valid: jax.Array | None) -> Any:
    """Zero wherever not valid [T, *batch], in leaves [T, *batch, ...].

    Inputs are blanked *before* anything is computed of them: an unread NaN would still reach the gradients, as 0 * NaN.
    """
    return (
        tree
        if valid is None
        else jax.tree.map(lambda leaf: jnp.where(spread(valid, leaf), leaf, jnp.zeros_like(leaf)), tree)
    )


def turn(tree: Any, lengths: jax.Array | None) -> Any:
    """Each sequence turned round within its own length, padding left where it is; its own inverse."""
    if lengths is None:
        return jax.tree.map(lambda leaf: jnp.flip(leaf, 0), tree)

    def turn_leaf(leaf: jax.Array) -> jax.Array:
        t = _steps(leaf.shape[0], lengths.ndim)
        source = jnp.where(t < lengths[None], lengths[None] - 1 - t, t)
        # Whole rows are moved, and none twice: half the time of `take_along_axis`, which moves single numbers.
        places = (source, *jnp.indices(source.shape)[1:])
        return jnp.asarray(leaf).at[places].get(unique_indices=True, mode="promise_in_bounds")

    return jax.tree.map(turn_leaf, tree)


def turn_resets(resets: jax.Array, lengths: jax.Array | None) -> jax.Array:
    """The same boundaries seen from the other end.

    A reset at t is a boundary between t-1 and t: walked backwards, the episode beyond it begins at t-1.
    """
    begins = jnp.concatenate([resets[1:], jnp.zeros_like(resets[:1])])
    if lengths is not None:  # what stands in the padding is no boundary of the last step
        begins &= before_end(lengths - 1, resets.shape[0])
    return turn(begins, lengths)


def _steps(count: int, batch_dims: int) -> jax.Array:
    return jnp.reshape(jnp.arange(count), (count,) + (1,) * batch_dims)
