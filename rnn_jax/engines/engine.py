"""The contract of an engine."""

from typing import Any, Protocol

from rnn_jax.cell import Cell, Params, State


class Engine(Protocol):
    """Solves s_t = step(params, s_{t-1}, project(params, x_t)) for t = 1..T; a frozen dataclass.

    It gets the inputs, not the drives, so it decides whether to project before the loop or inside it. It knows nothing
    of masks, directions, layers and outputs. T may be 0. `rnn_jax.testing.check_engine` checks one.
    """

    def __call__(self, cell: Cell, params: Params, state: State, inputs: Any) -> tuple[State, State]:
        """Returns the last state and all states [T, *batch, ...], from time-major inputs [T, *batch, ...]."""
        ...
