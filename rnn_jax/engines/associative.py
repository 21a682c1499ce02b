"""Parallel in time, for cells linear in their state: 2 log2(T) rounds in place of T steps.

    s_t = A_t s_{t-1} + b_t      two steps are one such step:  A_t A_{t-1},  A_t b_{t-1} + b_t

Steps are joined by twos, half as many are solved in the same way, and the states between follow (Blelloch 1990; for
recurrent networks Martin & Cundy 2018, arXiv:1709.04057). The adjoint, lambda_t = dL/ds_t + A_{t+1}^T lambda_{t+1}, is
the same recurrence walked backwards.

`jax.lax.associative_scan` would do, but it also makes the product of all transitions so far, which nobody reads, and
wants a transition that all steps share written out for each.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import adjoint
from rnn_jax.wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class Associative:
    """For cells that define `linear`, bare or in wrappers that keep them linear.

    All inputs are projected at once; memory of the backward pass is O(T), about the loop's. It is for devices that do
    much at once: on two cores it takes as long as the loop, and longer to compile. A matrix that all steps share stays
    one matrix; with lengths, or zoneout's masks, it is another for every step and sequence, [T, *batch, H, H], at H
    times the arithmetic of the loop.

    JAX refuses forward-mode differentiation of what it computed, though not of its gradient: use `Scan` there.

    Raises:
      TypeError: when called with a cell that is not linear in its state.
    """

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        if not cell.has_linear:
            while isinstance(cell, Wrapper) and not cell.cell.has_linear:
                cell = cell.cell
            raise TypeError(
                f"Associative: {type(cell).__name__} does not say that it is linear in its state (it defines no "
                "`linear`): use Scan, Hoisted or Checkpointed"
            )
        return adjoint.solve(self, cell, params, state, inputs)

    def states(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, Any]:
        transition, b = cell.linear(params, cell.project(params, inputs))
        first = at(transition, slice(0, 1)).apply(jax.tree.map(lambda leaf: leaf[None], state))
        b = jax.tree.map(lambda f, b: jnp.concatenate([f + b[:1], b[1:]]), first, b)
        later = at(transition, slice(1, None))
        return scan(later, b), later

    def adjoints(self, cell: Cell, params: Params, before: State, inputs: Any, kept: Any, of_states: State) -> State:
        del cell, params, before, inputs
        backwards = slice(None, None, -1)
        return part(scan(at(kept.transpose(), backwards), part(of_states, backwards)), backwards)


def scan(transition: Any, b: State) -> State:
    """All states of s_1 = b_1, s_t = transition_t(s_{t-1}) + b_t, t = 2..T.

    Args:
      transition: of the steps 2 to T, leaves [T-1, ...], or [1, ...] where all steps share one.
      b: leaves [T, ...].
    """
    steps = jax.tree.leaves(b)[0].shape[0]
    if steps < 2:
        return b

    def forward(transition: Any, state: State, b: State) -> State:
        return jax.tree.map(jnp.add, transition.apply(state), b)

    # Counted from 1: each even step is joined to the odd one before it. The first of the transitions is step 2's.
    pairs = steps // 2
    to_even, to_odd = at(transition, slice(0, None, 2)), at(transition, slice(1, None, 2))
    joined = at(to_even, slice(1, None)).after(at(to_odd, slice(0, pairs - 1)))
    odd, even = part(b, slice(0, None, 2)), part(b, slice(1, None, 2))
    even = scan(joined, forward(to_even, part(odd, slice(0, pairs)), even))
    later = forward(to_odd, part(even, slice(0, (steps - 1) // 2)), part(odd, slice(1, None)))
    return jax.tree.map(_interleave, odd, later, even)


def part(tree: Any, steps: slice) -> Any:
    """Some of the steps, leaves [T, ...]."""
    return jax.tree.map(lambda leaf: leaf[steps], tree)


def at(transition: Any, steps: slice) -> Any:
    """Some of the steps of a transition; a leaf that all steps share is what it was."""
    return jax.tree.map(lambda leaf: leaf if leaf.shape[0] == 1 else leaf[steps], transition)


def _interleave(first: jax.Array, odd: jax.Array, even: jax.Array) -> jax.Array:
    """[first_0, even_0, odd_0, even_1, odd_1, ...], until both are used up."""
    odd = jnp.concatenate([first[:1], odd])
    pairs = jnp.stack([odd[: len(even)], even], axis=1)
    return jnp.concatenate([jnp.reshape(pairs, (2 * len(even), *even.shape[1:])), odd[len(even) :]])
