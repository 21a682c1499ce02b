"""A cell with a dense readout at every step: many-to-many, or many-to-one where only the last step is read."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax import checks
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.unrolling import unroll


class ReadoutParams(NamedTuple):
    """Parameters of the cell and of the dense layer that reads it."""

    cell: Params
    readout: Any  # flax.linen.Dense variables: kernel V [H, O], bias c [O]


def identity(y: jax.Array) -> jax.Array:
    """The linear readout."""
    return y


@dataclasses.dataclass(frozen=True)
class ReadoutModel:
    """y_t = O(h_t V + c) with h_t the cell's output.

    Args:
      cell: the recurrent core; its output is [..., features].
      output_size: width of y_t.
      activation: O; the tasks' losses want the linear readout (logits), which is the default.

    Raises:
      ValueError: where output_size is not a positive integer.
    """

    cell: Cell
    output_size: int
    activation: Callable[[jax.Array], jax.Array] = identity

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.output_size, "ReadoutModel: output_size")

    def init(self, key: jax.Array) -> ReadoutParams:
        key_cell, key_readout = jax.random.split(key)
        params = self.cell.init(key_cell)
        _, hs = jax.eval_shape(lambda p: unroll(self.cell, p, jnp.zeros((1, 1, self.cell.input_size))), params)
        return ReadoutParams(params, self._dense(hs.dtype).init(key_readout, jnp.zeros(hs.shape, hs.dtype)))

    def apply(
        self,
        params: ReadoutParams,
        xs: Any,
        state: State | None = None,
        *,
        lengths: Any = None,
        resets: Any = None,
        engine: Engine = Hoisted(),
        key: jax.Array | None = None,
    ) -> tuple[State, jax.Array]:
        """Unrolls the cell and reads every step; arguments, errors and returns as `rnn_jax.unroll`.

        Beyond a sequence's length it reads zeros, O(c): leave those steps out of the loss.
        """
        final_state, hs = unroll(
            self.cell, params.cell, xs, state, lengths=lengths, resets=resets, engine=engine, key=key
        )
        return final_state, self.read(params, hs)

    def read(self, params: ReadoutParams, hs: jax.Array) -> jax.Array:
        """The readout alone: hs [..., features] to [..., output_size]."""
        y: Any = self._dense(hs.dtype).apply(params.readout, hs)
        return self.activation(y)

    def _dense(self, dtype: Any) -> nn.Dense:
        return nn.Dense(self.output_size, param_dtype=dtype)
