"""A cell with a dense readout at every step: many-to-many, or many-to-one if the loss reads only the last step."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, noise, parameters
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.models import dense
from rnn_jax.static import Static
from rnn_jax.unrolling import unroll


class ReadoutParams(NamedTuple):
    """Parameters of the cell and of the dense layer that reads it."""

    cell: Params
    readout: Any  # flax.linen.Dense variables: kernel V [H, O], bias c [O]


def identity(y: jax.Array) -> jax.Array:
    """Returns y: the activation of a linear readout."""
    return y


@dataclasses.dataclass(frozen=True)
class ReadoutModel(Static):
    """y_t = O(h_t V + c), with h_t the output of a cell or layer.

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import LSTM, ReadoutModel
    >>> model = ReadoutModel(LSTM(3, 8), output_size=2)
    >>> params = model.init(jax.random.key(0))
    >>> final_state, ys = model.apply(params, jnp.ones((5, 4, 3)))  # xs [T, batch, features]
    >>> ys.shape
    (5, 4, 2)

    Args:
      cell: recurrent core; its outputs are [..., features].
      output_size: width of y_t.
      activation: O; the losses of the tasks expect the default, a linear readout (logits).

    Raises:
      ValueError: if output_size is not a positive integer.
    """

    cell: Cell
    output_size: int
    activation: Callable[[jax.Array], jax.Array] = identity

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.output_size, "ReadoutModel: output_size")

    def init(self, key: jax.Array) -> ReadoutParams:
        key_cell, key_readout = jax.random.split(key)
        params = self.cell.init(key_cell)
        xs = jnp.zeros((1, 1, self.cell.input_size))
        _, hs = jax.eval_shape(lambda p: unroll(self.cell, p, xs, key=None), params)
        return ReadoutParams(params, dense.init(key_readout, self.output_size, hs))

    def apply(
        self,
        params: ReadoutParams,
        xs: Any,
        state: State | None = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        engine: Engine = Hoisted(),
        key: noise.Key = noise.NOT_GIVEN,
    ) -> tuple[State, jax.Array]:
        """Unrolls the cell and reads every step; arguments and errors as `rnn_jax.unroll`.

        Returns:
          The final state, and the outputs [T, *batch, output_size]. Beyond a sequence's length they are O(c), not zero:
          leave those steps out of the loss.
        """
        parameters.check(self, params)
        final_state, hs = unroll(
            self.cell, params.cell, xs, state, lengths=lengths, resets=resets, engine=engine, key=key
        )
        return final_state, self.read(params, hs)

    def read(self, params: ReadoutParams, hs: jax.Array) -> jax.Array:
        """Returns the readout [..., output_size] of cell outputs hs [..., features]."""
        return self.activation(dense.apply(params.readout, self.output_size, hs))
