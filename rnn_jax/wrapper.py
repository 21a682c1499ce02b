"""A cell around a cell: the base of all that adds something to any cell."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from rnn_jax.cell import Cell, Params, State, defined_last
from rnn_jax.linear import Transition

# The cell inside, advanced by a step: (params, state, drive) -> state.
Advance = Callable[[Params, State, Any], State]


@dataclasses.dataclass(frozen=True)
class Wrapper(Cell):
    """Does what `cell` does; a subclass overrides what it changes. Parameters and state are those of `cell`.

    What it adds to a step stands in `around`, once for a cell that defines `step` and for one that is split into
    `recurrent` and `activate`: so it is split as `cell` is, and as fast under an engine that makes use of it. One that
    keeps the step linear says so in `linear`, beside `around`.

    Args:
      cell: the cell inside; it gives the sizes.

    Raises:
      TypeError: where `cell` is no cell.
    """

    input_size: int = dataclasses.field(init=False, repr=False)
    hidden_size: int = dataclasses.field(init=False, repr=False)
    cell: Cell

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise TypeError(f"{type(self).__name__}: cell must be a Cell, got {self.cell!r}")
        object.__setattr__(self, "input_size", self.cell.input_size)
        object.__setattr__(self, "hidden_size", self.cell.hidden_size)
        super().__post_init__()

    def around(self, params: Params, state: State, drive: Any, advance: Advance) -> State:
        """s_t by means of `advance`, a step of the cell inside."""
        return advance(params, state, drive)

    def init(self, key: jax.Array) -> Params:
        return self.cell.init(key)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        return self.cell.initial_state(params, batch_shape)

    def project(self, params: Params, x: Any) -> Any:
        return self.cell.project(params, x)

    def step(self, params: Params, state: State, drive: Any) -> State:
        if self.has_recurrent:
            return self.activate(params, state, drive, self.recurrent(params, self.enter(params, state, drive)))
        return self.around(params, state, drive, self.cell.step)

    def enter(self, params: Params, state: State, drive: Any) -> State:
        return self.cell.enter(params, state, drive)

    def recurrent(self, params: Params, state: State) -> jax.Array:
        return self.cell.recurrent(params, state)

    def activate(self, params: Params, state: State, drive: Any, r: jax.Array) -> State:
        return self.around(params, state, drive, lambda p, s, d: self.cell.activate(p, s, d, r))

    def linear(self, params: Params, drive: Any) -> tuple[Transition, State]:
        return self.cell.linear(params, drive)

    @property
    def has_recurrent(self) -> bool:
        return type(self).step is Wrapper.step and self.cell.has_recurrent

    @property
    def has_linear(self) -> bool:
        own = type(self).step is Wrapper.step and defined_last(type(self), "linear", "around") == "linear"
        return own and self.cell.has_linear

    def output(self, params: Params, state: State, x: Any) -> Any:
        return self.cell.output(params, state, x)

    @property
    def output_size(self) -> int:
        return self.cell.output_size

    def noise(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Any:
        return self.cell.noise(params, key, shape)
