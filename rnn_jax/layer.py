"""The contract of a layer: something made of cells that runs over a whole sequence in a way of its own."""

import abc
from typing import Any, NamedTuple

import jax

from rnn_jax.cell import Params, State
from rnn_jax.engines import Engine


class Walk(NamedTuple):
    """How sequences are walked, first step to last: what a layer hands on to the `rnn_jax.unroll` of its parts."""

    lengths: jax.Array | None
    resets: jax.Array | None
    engine: Engine
    key: jax.Array | None

    def of_part(self, key: jax.Array | None) -> dict[str, Any]:
        """As keyword arguments, with the part's own key."""
        return self._replace(key=key)._asdict()


class Layer(abc.ABC):
    """Mixed into a `Cell` whose sequences are not solved by stepping the whole of it.

    A stack runs layer by layer, a bidirectional layer twice over the sequence. `rnn_jax.unroll` calls `unroll` where it
    is there; `step` stays what one step of it is, if it has one.
    """

    @abc.abstractmethod
    def unroll(self, params: Params, xs: Any, state: State, walk: Walk) -> tuple[State, Any]:
        """As `rnn_jax.unroll`, which has checked everything, made padding zero and turned round what was to be."""
