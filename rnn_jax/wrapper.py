"""A cell around a cell: the base of everything that adds something to any cell."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax

from rnn_jax.cell import KIND_METHODS, Cell, Params, State
from rnn_jax.linear import Transition
from rnn_jax.static import defining_class

# A step of the inner cell: (params, state, drive) -> state. The parameters are the wrapper's.
Advance = Callable[[Params, State, Any], State]


@dataclasses.dataclass(frozen=True)
class Wrapper(Cell):
    """Does what the inner cell does; a subclass overrides what it changes. The state is the inner cell's.

    A wrapper has the kind of its inner cell. `around` changes the step, in one place for all kinds; a wrapper that
    keeps a linear step linear also defines `linear`, in the same class as `around` or in one derived from it. Two hooks
    map the wrapper's arguments to those of the inner cell: `inner_params` and `inner_input`.

    >>> from rnn_jax.cells import LSTM
    >>> class Halved(Wrapper):
    ...     def around(self, params, state, drive, advance):
    ...         return jax.tree.map(lambda s: s / 2, advance(params, state, drive))
    >>> Halved(LSTM(2, 3)).is_split
    True

    Args:
      cell: inner cell; it gives the sizes.

    Raises:
      TypeError: if `cell` is not a cell.
    """

    input_size: int = dataclasses.field(init=False, repr=False)
    hidden_size: int = dataclasses.field(init=False, repr=False)
    cell: Cell

    _kind_methods: ClassVar[tuple[str, ...]] = tuple(KIND_METHODS)

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            raise TypeError(f"{type(self).__name__}: cell must be a Cell, got {self.cell!r}")
        object.__setattr__(self, "input_size", self.cell.input_size)
        object.__setattr__(self, "hidden_size", self.cell.hidden_size)
        super().__post_init__()

    def inner_params(self, params: Params) -> Params:
        """Returns the inner cell's parameters. Default: the wrapper's."""
        return params

    def inner_input(self, params: Params, x: Any) -> Any:
        """Returns the inner cell's input, from the wrapper's parameters and input. Default: x."""
        del params
        return x

    def around(self, params: Params, state: State, drive: Any, advance: Advance) -> State:
        """Returns s_t by means of `advance`, a step of the inner cell that takes the wrapper's parameters."""
        return advance(params, state, drive)

    def init(self, key: jax.Array) -> Params:
        return self.cell.init(key)

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> State:
        return self.cell.initial_state(self.inner_params(params), batch_shape)

    def prepare(self, params: Params) -> Params:
        """Prepares the inner cell's parameters if they are the wrapper's; a wrapper with others may put them there."""
        shared = type(self).inner_params is Wrapper.inner_params
        return self.cell.prepare(params) if shared else params

    def project(self, params: Params, x: Any) -> Any:
        return self.cell.project(self.inner_params(params), self.inner_input(params, x))

    def step(self, params: Params, state: State, drive: Any) -> State:
        if self.is_split:
            return self.activate(params, state, drive, self.recurrent(params, self.enter(params, state, drive)))
        return self.around(params, state, drive, lambda p, s, d: self.cell.step(self.inner_params(p), s, d))

    def output(self, params: Params, state: State, x: Any) -> Any:
        return self.cell.output(self.inner_params(params), state, self.inner_input(params, x))

    @property
    def output_size(self) -> int:
        return self.cell.output_size

    def noise(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Any:
        return self.cell.noise(self.inner_params(params), key, shape)

    # The methods of a kind. A wrapper has them all; they may be called if `is_split`, or `is_linear`, is true.

    @property
    def is_split(self) -> bool:
        return type(self).step is Wrapper.step and self.cell.is_split

    @property
    def is_linear(self) -> bool:
        # An `around` that changes the step makes the inherited `linear` wrong.
        matching = issubclass(defining_class(type(self), "linear"), defining_class(type(self), "around"))
        return type(self).step is Wrapper.step and matching and self.cell.is_linear

    @property
    def _inner(self) -> Any:
        return self.cell  # untyped: a `SplitCell`, a `LinearCell` or a wrapper, by `is_split` and `is_linear`

    def enter(self, params: Params, state: State, drive: Any) -> State:
        return self._inner.enter(self.inner_params(params), state, drive)

    def recurrent(self, params: Params, state: State) -> jax.Array:
        return self._inner.recurrent(self.inner_params(params), state)

    def activate(self, params: Params, state: State, drive: Any, r: jax.Array) -> State:
        return self.around(params, state, drive, lambda p, s, d: self._inner.activate(self.inner_params(p), s, d, r))

    def linear(self, params: Params, drive: Any) -> tuple[Transition, State]:
        return self._inner.linear(self.inner_params(params), drive)
