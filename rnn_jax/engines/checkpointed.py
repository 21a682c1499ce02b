"""Checkpointing in time: segments are run again in the backward pass, so that less of them is kept.

Chen et al. 2016 (arXiv:1604.06174); for recurrent networks Gruslys et al. 2016 (arXiv:1606.03401).
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.cell import Cell, Params, State


@dataclasses.dataclass(frozen=True)
class Checkpointed:
    """Keeps the state at the start of each segment; every cell.

    Memory of the backward pass, beside the inputs and what is read of the states: O(segment + T / segment), least at
    the default, O(sqrt T), for one more forward pass. `recursive` halves the sequence again and again, down to
    segments: O(log T) states and two copies of the inputs, for up to log2(T / segment) more forward passes. Inputs are
    projected segment by segment, as all drives at once would be as much as was to be saved.

    Args:
      segment: steps; None means sqrt(T), or 1 if recursive.
      recursive: by halves.

    Raises:
      ValueError: where segment is not a positive integer.
    """

    segment: int | None = None
    recursive: bool = False

    def __post_init__(self) -> None:
        if self.segment is not None:
            checks.integer_at_least(1, self.segment, "Checkpointed: segment")

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        steps = jax.tree.leaves(inputs)[0].shape[0]
        segment = self.segment or (1 if self.recursive else max(1, math.isqrt(steps)))

        @jax.checkpoint
        def plain(params: Params, state: State, inputs: Any) -> tuple[State, State]:
            def body(state: State, drive: Any) -> tuple[State, State]:
                state = cell.step(params, state, drive)
                return state, state

            return jax.lax.scan(body, state, cell.project(params, inputs))

        def repeat(solve: Any, count: int, length: int) -> Any:
            """Solves `count` pieces of `length` steps, one after the other."""

            def solve_all(params: Params, state: State, inputs: Any) -> tuple[State, State]:
                cut = jax.tree.map(lambda x: jnp.reshape(x, (count, length, *x.shape[1:])), inputs)
                final, states = jax.lax.scan(lambda s, x: solve(params, s, x), state, cut)
                return final, jax.tree.map(lambda s: jnp.reshape(s, (count * length, *s.shape[2:])), states)

            return solve_all

        def halves(count: int) -> Any:
            """Solves a power of two of segments."""
            if count == 1:
                return plain
            return jax.checkpoint(repeat(halves(count // 2), 2, segment * count // 2))

        # From the longest piece that fits to the shortest, until the sequence is used up.
        pieces = []
        done, left = 0, steps // segment
        while left:
            count = 1 << (left.bit_length() - 1) if self.recursive else left
            solve = halves(count) if self.recursive else repeat(plain, count, segment)
            pieces.append((solve, count * segment))
            left -= count
        if steps % segment or not steps:
            pieces.append((plain, steps % segment))
        found = []
        for solve, length in pieces:
            state, states = solve(params, state, jax.tree.map(lambda x, d=done, n=length: x[d : d + n], inputs))
            found.append(states)
            done += length
        return state, jax.tree.map(lambda *parts: jnp.concatenate(parts), *found)
