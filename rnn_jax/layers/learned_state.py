"""A trained initial state."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax.cell import Params, State
from rnn_jax.wrapper import Wrapper


class LearnedInitialStateParams(NamedTuple):
    """Parameters of the cell and of its initial state."""

    cell: Params
    state: Any  # s_0, like a state without batch dimensions; complex: real and imaginary part [2, ...]; integers: None


@dataclasses.dataclass(frozen=True)
class LearnedInitialState(Wrapper):
    """Any cell with its initial state s_0 among its parameters, the same for every sequence.

    It is initialised with the cell's own initial state (zeros). Resets restore it. In a `Stack` or `Bidirectional`, put
    it around the inner cells.

    >>> from rnn_jax.cells import GRU
    >>> cell = LearnedInitialState(GRU(2, 3))
    >>> params = cell.init(jax.random.key(0))
    >>> cell.initial_state(params._replace(state=jnp.ones(3)), (2,))
    Array([[1., 1., 1.],
           [1., 1., 1.]], dtype=float32)

    Args:
      cell: any cell.

    Raises:
      TypeError: if `cell` is not a cell.
    """

    def inner_params(self, params: LearnedInitialStateParams) -> Params:
        return params.cell

    def init(self, key: jax.Array) -> LearnedInitialStateParams:
        params = self.cell.init(key)
        state = self.cell.initial_state(params)

        def real(s: jax.Array) -> jax.Array | None:
            if jnp.iscomplexobj(s):
                return jnp.stack([s.real, s.imag])
            return s if jnp.issubdtype(s.dtype, jnp.floating) else None

        return LearnedInitialStateParams(params, jax.tree.map(real, state))

    def prepare(self, params: LearnedInitialStateParams) -> LearnedInitialStateParams:
        return params._replace(cell=self.cell.prepare(params.cell))

    def initial_state(self, params: LearnedInitialStateParams, batch_shape: tuple[int, ...] = ()) -> State:
        def pick(learned: jax.Array | None, default: jax.Array) -> jax.Array:
            if learned is None:
                return default
            value = jax.lax.complex(*learned) if jnp.iscomplexobj(default) else learned
            return jnp.copy(jnp.broadcast_to(value, default.shape))  # never the parameter's own buffer

        defaults = super().initial_state(params, batch_shape)
        return jax.tree.map(pick, params.state, defaults, is_leaf=lambda leaf: leaf is None)
