"""Checkpointing in time: segments are run again in the backward pass, so that less of them is kept.

Chen et al. 2016 (arXiv:1604.06174); for recurrent networks Gruslys et al. 2016 (arXiv:1606.03401).
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.cell import Cell, Params, State
from rnn_jax.static import Static

# Runs some steps: (params, state, inputs) -> (last state, all states).
_Runner = Callable[[Params, State, Any], tuple[State, State]]


@dataclasses.dataclass(frozen=True)
class Checkpointed(Static):
    """Keeps the state at the start of each segment; for any cell.

    Memory of the backward pass, in addition to the inputs and the states that are read: O(segment + T / segment), which
    is least at the default, O(sqrt T), for one more forward pass. `recursive` halves the sequence repeatedly, down to
    segments: O(log T) states and two copies of the inputs, for up to log2(T / segment) more forward passes. Inputs are
    projected segment by segment, as all drives at once would take as much memory as is saved.

    >>> from rnn_jax import GRU, unroll
    >>> cell = GRU(2, 3)
    >>> params, xs = cell.init(jax.random.key(0)), jnp.ones((100, 2))
    >>> jax.grad(lambda p: unroll(cell, p, xs, engine=Checkpointed(segment=20))[1].sum())(params).w_h.shape
    (3, 9)

    Args:
      segment: number of steps; None means sqrt(T), or 1 if recursive.
      recursive: whether the sequence is halved repeatedly.

    Raises:
      ValueError: if segment is not a positive integer.
    """

    segment: int | None = None
    recursive: bool = False

    def __post_init__(self) -> None:
        if self.segment is not None:
            checks.integer_at_least(1, self.segment, "Checkpointed: segment")

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        steps = jax.tree.leaves(inputs)[0].shape[0]
        start, parts = 0, []
        for run, length in self._runners(cell, steps):
            state, states = run(params, state, jax.tree.map(lambda x, i=start, n=length: x[i : i + n], inputs))
            parts.append(states)
            start += length
        return state, jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)

    def _runners(self, cell: Cell, steps: int) -> list[tuple[_Runner, int]]:
        """Returns the runners of consecutive parts of the sequence, with their lengths."""
        segment = self.segment or (1 if self.recursive else max(1, math.isqrt(steps)))
        run_segment = _segment_runner(cell)
        runners = []
        segments = steps // segment
        while segments:  # from the longest part to the shortest
            count = 1 << (segments.bit_length() - 1) if self.recursive else segments
            run = _halving(run_segment, segment, count) if self.recursive else _repeat(run_segment, count, segment)
            runners.append((run, count * segment))
            segments -= count
        if steps % segment or not steps:
            runners.append((run_segment, steps % segment))
        return runners


def _segment_runner(cell: Cell) -> _Runner:
    @jax.checkpoint
    def run(params: Params, state: State, inputs: Any) -> tuple[State, State]:
        def body(state: State, drive: Any) -> tuple[State, State]:
            state = cell.step(params, state, drive)
            return state, state

        return jax.lax.scan(body, state, cell.project(params, inputs))

    return run


def _repeat(run: _Runner, count: int, length: int) -> _Runner:
    """Returns a runner of `count` parts of `length` steps, one after the other."""

    def run_all(params: Params, state: State, inputs: Any) -> tuple[State, State]:
        parts = jax.tree.map(lambda x: jnp.reshape(x, (count, length, *x.shape[1:])), inputs)
        final, states = jax.lax.scan(lambda s, x: run(params, s, x), state, parts)
        return final, jax.tree.map(lambda s: jnp.reshape(s, (count * length, *s.shape[2:])), states)

    return run_all


def _halving(run_segment: _Runner, segment: int, count: int) -> _Runner:
    """Returns a runner of `count` segments, a power of two, that keeps only the state halfway."""
    if count == 1:
        return run_segment
    return jax.checkpoint(_repeat(_halving(run_segment, segment, count // 2), 2, segment * count // 2))
