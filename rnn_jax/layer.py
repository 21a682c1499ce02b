"""The contract of a layer: something made of cells that runs over a whole sequence in its own way."""

import abc
from typing import Any, NamedTuple

import jax

from rnn_jax import noise
from rnn_jax.cell import Params, State
from rnn_jax.engines import Engine


class UnrollOptions(NamedTuple):
    """Options of `rnn_jax.unroll` that a layer passes on to its parts; direction is already applied."""

    lengths: jax.Array | None
    resets: jax.Array | None
    engine: Engine
    key: noise.Key  # if not given, the part with noise refuses it; `noise.keys` splits it

    def keywords(self, **changes: Any) -> dict[str, Any]:
        """Returns them as keyword arguments, with changes such as a part's own key."""
        return self._replace(**changes)._asdict()


class Layer(abc.ABC):
    """A mixin of a `Cell` whose sequences are not solved by stepping all of it at once.

    A stack runs layer by layer, a bidirectional layer twice over the sequence. `rnn_jax.unroll` calls its
    `unroll`; its `step`, if it has one, serves generation.
    """

    @abc.abstractmethod
    def unroll(self, params: Params, xs: Any, state: State, options: UnrollOptions) -> tuple[State, Any]:
        """Runs the layer as `rnn_jax.unroll` does, which has checked all arguments, zeroed padding and flipped xs."""
