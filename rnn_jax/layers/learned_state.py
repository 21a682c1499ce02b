"""An initial state that is learnt."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.cell import Params, State
from rnn_jax.wrapper import Advance, Wrapper


class LearnedInitialStateParams(NamedTuple):
    """The cell's parameters beside the state's."""

    cell: Params
    state: Any  # s_0, like a state without batch dimensions; None for components that are no floats


@dataclasses.dataclass(frozen=True)
class LearnedInitialState(Wrapper):
    """Any cell with its initial state s_0 among its parameters, the same for every sequence.

    It begins as the cell's own (zeros). Where resets put a state back, it is this one. In a `Stack` or `Bidirectional`
    put it around the cells inside.

    Args:
      cell: any cell.

    Raises:
      TypeError: where `cell` is no cell.
    """

    def init(self, key: jax.Array) -> LearnedInitialStateParams:
        params = self.cell.init(key)
        state = self.cell.initial_state(params)
        learned = jax.tree.map(lambda s: s if jnp.issubdtype(s.dtype, jnp.floating) else None, state)
        return LearnedInitialStateParams(params, learned)

    def initial_state(self, params: LearnedInitialStateParams, batch_shape: tuple[int, ...] = ()) -> State:
        def pick(learned: jax.Array | None, own: jax.Array) -> jax.Array:
            return own if learned is None else jnp.broadcast_to(learned, own.shape)

        own = self.cell.initial_state(params.cell, batch_shape)
        return jax.tree.map(pick, params.state, own, is_leaf=lambda leaf: leaf is None)

    def project(self, params: LearnedInitialStateParams, x: Any) -> Any:
        return self.cell.project(params.cell, x)

    def around(self, params: LearnedInitialStateParams, state: State, drive: Any, advance: Advance) -> State:
        return advance(params.cell, state, drive)

    def enter(self, params: LearnedInitialStateParams, state: State, drive: Any) -> State:
        return self.cell.enter(params.cell, state, drive)

    def recurrent(self, params: LearnedInitialStateParams, state: State) -> jax.Array:
        return self.cell.recurrent(params.cell, state)

    def output(self, params: LearnedInitialStateParams, state: State, x: Any) -> Any:
        return self.cell.output(params.cell, state, x)

    def noise(self, params: LearnedInitialStateParams, key: jax.Array, shape: tuple[int, ...]) -> Any:
        return self.cell.noise(params.cell, key, shape)
