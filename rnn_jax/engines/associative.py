"""Parallel in time, for cells linear in their state: 2 log2(T) rounds in place of T steps.

    s_t = A_t s_{t-1} + b_t      two steps are one such step:  A_t A_{t-1},  A_t b_{t-1} + b_t

Steps are joined in pairs, half as many are solved in the same way, and the states between them follow (Blelloch 1990;
for recurrent networks Martin & Cundy 2018, arXiv:1709.04057). The adjoint, lambda_t = dL/ds_t + A_{t+1}^T lambda_{t+1},
is the same recurrence in reverse time.

`jax.lax.associative_scan` is not used: it also computes the product of all transitions so far, which nobody reads, and
needs a transition that all steps share copied for each.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import adjoint
from rnn_jax.static import Static
from rnn_jax.wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class Associative(Static):
    """For a `LinearCell`, bare or in wrappers that keep it linear.

    All inputs are projected at once; memory of the backward pass is O(T), about the loop's. It suits devices with much
    parallelism: on two cores it takes as long as the loop, and longer to compile. A matrix that all steps share stays
    one matrix; with lengths, or zoneout's masks, it differs for every step and sequence, [T, *batch, H, H], at H times
    the arithmetic of the loop. So it does if transitions are of rank one (`DeltaNet`), whose products are not.

    Forward-mode differentiation of its result, though not of its gradient, is refused: use `Scan` for that.

    >>> from rnn_jax import MinGRU, unroll
    >>> cell = MinGRU(2, 3)
    >>> final_state, ys = unroll(cell, cell.init(jax.random.key(0)), jnp.ones((10, 2)), engine=Associative())
    >>> ys.shape
    (10, 3)

    Raises:
      TypeError: if called with a cell that is not linear in its state, or differentiated in forward mode.
    """

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        if not cell.is_linear:
            while isinstance(cell, Wrapper) and not cell.cell.is_linear:
                cell = cell.cell
            raise TypeError(
                "Associative: cell must be linear in its state (a LinearCell, or one in wrappers that keep it so), "
                f"got {type(cell).__name__}; use Scan, Hoisted or Checkpointed"
            )
        return adjoint.solve(self, cell, params, state, inputs)

    def states(self, cell: Any, params: Params, state: State, inputs: Any) -> tuple[State, Any]:
        transition, b = cell.linear(params, cell.project(params, inputs))
        first = select_steps(transition, slice(0, 1)).apply(jax.tree.map(lambda leaf: leaf[None], state))
        b = jax.tree.map(lambda f, b: jnp.concatenate([f + b[:1], b[1:]]), first, b)
        later = select_steps(transition, slice(1, None))
        return scan(later, b), later

    def adjoints(self, cell: Cell, params: Params, before: State, inputs: Any, kept: Any, grad_states: State) -> State:
        del cell, params, before, inputs
        reverse = slice(None, None, -1)
        return _slice(scan(select_steps(kept.transpose(), reverse), _slice(grad_states, reverse)), reverse)


def scan(transition: Any, b: State) -> State:
    """Returns all states of s_1 = b_1, s_t = transition_t(s_{t-1}) + b_t, t = 2..T.

    Args:
      transition: transitions of steps 2 to T, leaves [T-1, ...], or [1, ...] if all steps share one.
      b: leaves [T, ...].
    """
    steps = jax.tree.leaves(b)[0].shape[0]
    if steps < 2:
        return b

    def forward(transition: Any, state: State, b: State) -> State:
        return jax.tree.map(jnp.add, transition.apply(state), b)

    # Counted from 1: each even step is joined to the odd one before it. The first of the transitions is step 2's.
    pairs = steps // 2
    to_even, to_odd = select_steps(transition, slice(0, None, 2)), select_steps(transition, slice(1, None, 2))
    joined = select_steps(to_even, slice(1, None)).after(select_steps(to_odd, slice(0, pairs - 1)))
    odd, even = _slice(b, slice(0, None, 2)), _slice(b, slice(1, None, 2))
    even = scan(joined, forward(to_even, _slice(odd, slice(0, pairs)), even))
    later = forward(to_odd, _slice(even, slice(0, (steps - 1) // 2)), _slice(odd, slice(1, None)))
    return jax.tree.map(_interleave, odd, later, even)


def select_steps(transition: Any, steps: slice) -> Any:
    """Returns some steps of a transition; a leaf that all steps share stays as it is."""
    return jax.tree.map(lambda leaf: leaf if leaf.shape[0] == 1 else leaf[steps], transition)


def _slice(tree: Any, steps: slice) -> Any:
    return jax.tree.map(lambda leaf: leaf[steps], tree)


def _interleave(first: jax.Array, odd: jax.Array, even: jax.Array) -> jax.Array:
    """Returns [first_0, even_0, odd_0, even_1, odd_1, ...], until both are used up."""
    odd = jnp.concatenate([first[:1], odd])
    pairs = jnp.stack([odd[: len(even)], even], axis=1)
    return jnp.concatenate([jnp.reshape(pairs, (2 * len(even), *even.shape[1:])), odd[len(even) :]])
