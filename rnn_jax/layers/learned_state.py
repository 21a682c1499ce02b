"""An initial state that is learnt."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.cell import Params, State
from rnn_jax.linear import Transition
from rnn_jax.wrapper import Advance, Wrapper


class LearnedInitialStateParams(NamedTuple):
    """The cell's parameters beside the state's."""

    cell: Params
    state: Any  # s_0, like a state without batch dimensions; complex: its two parts [2, ...]; integers: None


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

        def real(s: jax.Array) -> jax.Array | None:
            if jnp.iscomplexobj(s):
                return jnp.stack([s.real, s.imag])
            return s if jnp.issubdtype(s.dtype, jnp.floating) else None

        return LearnedInitialStateParams(params, jax.tree.map(real, state))

    def initial_state(self, params: LearnedInitialStateParams, batch_shape: tuple[int, ...] = ()) -> State:
        def pick(learned: jax.Array | None, own: jax.Array) -> jax.Array:
            if learned is None:
                return own
            value = jax.lax.complex(*learned) if jnp.iscomplexobj(own) else learned
            return jnp.broadcast_to(value, own.shape)

        own = self.cell.initial_state(params.cell, batch_shape)
        return jax.tree.map(pick, params.state, own, is_leaf=lambda leaf: leaf is None)

    def project(self, params: LearnedInitialStateParams, x: Any) -> Any:
        return self.cell.project(params.cell, x)

    def around(self, params: LearnedInitialStateParams, state: State, drive: Any, advance: Advance) -> State:
        return advance(params.cell, state, drive)

    def linear(self, params: LearnedInitialStateParams, drive: Any) -> tuple[Transition, State]:
        return self.cell.linear(params.cell, drive)

    def enter(self, params: LearnedInitialStateParams, state: State, drive: Any) -> State:
        return self.cell.enter(params.cell, state, drive)

    def recurrent(self, params: LearnedInitialStateParams, state: State) -> jax.Array:
        return self.cell.recurrent(params.cell, state)

    def output(self, params: LearnedInitialStateParams, state: State, x: Any) -> Any:
        return self.cell.output(params.cell, state, x)

    def noise(self, params: LearnedInitialStateParams, key: jax.Array, shape: tuple[int, ...]) -> Any:
        return self.cell.noise(params.cell, key, shape)
