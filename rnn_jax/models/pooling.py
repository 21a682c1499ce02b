"""Poolings: the outputs [T, *batch, F] of a sequence to one vector [*batch, F], without the padding.

A pooling is a frozen dataclass, or any function that is hashable by value. Its arguments are the cell or layer that
gave the outputs; the outputs, zero beyond each length as `rnn_jax.unroll` returns them; and the lengths [*batch]. For a
sequence of length 0 each of these poolings returns zeros.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import integers, masking
from rnn_jax.cell import Cell
from rnn_jax.layers import Bidirectional, Stack
from rnn_jax.static import Static
from rnn_jax.wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class LastStep(Static):
    """The last output of each direction: y_L of the forward features, y_1 of the backward features.

    L is the length of each sequence. These are the outputs that depend on the whole sequence, as Keras's
    `return_sequences=False` gives them. Plain `y[-1]` differs: the backward half of y_L depends on x_L only.

    Raises:
      ValueError: if called with a layer that merges both directions other than by concatenation.
    """

    def __call__(self, cell: Cell, ys: jax.Array, lengths: jax.Array) -> jax.Array:
        at_end = jnp.broadcast_to(_complete_at_end(cell), ys.shape[1:])
        last = jnp.maximum(integers.int32(lengths, "LastStep: lengths") - 1, 0)[None, ..., None]
        return jnp.where(at_end, jnp.take_along_axis(ys, last, axis=0)[0], ys[0])


@dataclasses.dataclass(frozen=True)
class MeanPool(Static):
    """The mean over time: sum_t y_t / L for t = 1..L."""

    def __call__(self, cell: Cell, ys: jax.Array, lengths: jax.Array) -> jax.Array:
        del cell
        counts = jnp.maximum(integers.int32(lengths, "MeanPool: lengths"), 1)
        return jnp.sum(ys, axis=0) / counts.astype(ys.dtype)[..., None]


@dataclasses.dataclass(frozen=True)
class MaxPool(Static):
    """The maximum over time of each feature: max_t y_t for t = 1..L.

    Collobert et al. 2011, "Natural language processing (almost) from scratch".
    """

    def __call__(self, cell: Cell, ys: jax.Array, lengths: jax.Array) -> jax.Array:
        del cell
        lengths = jnp.asarray(integers.int32(lengths, "MaxPool: lengths"))
        valid = masking.before_end(lengths, len(ys))[..., None]
        highest = jnp.max(jnp.where(valid, ys, -jnp.inf), axis=0)
        return jnp.where((lengths > 0)[..., None], highest, jnp.zeros_like(highest))


# One of the above, or a user-defined one.
Pooling = Callable[[Cell, jax.Array, jax.Array], jax.Array]


def _complete_at_end(cell: Any, reverse: bool = False) -> np.ndarray:
    """Returns flags [F]: whether an output feature depends on the whole sequence at the last step, else at the first.

    Args:
      cell: cell or layer that gives the outputs.
      reverse: whether it runs in reverse time.
    """
    if isinstance(cell, Bidirectional):
        forward, backward = cell.forward, cell.forward if cell.backward is None else cell.backward
        if cell.merge != "concat":
            raise ValueError(f"LastStep: Bidirectional must have merge='concat', got {cell.merge!r}; or MeanPool()")
        return np.concatenate([_complete_at_end(forward, reverse), _complete_at_end(backward, not reverse)])
    if isinstance(cell, Stack):
        return _complete_at_end(cell.layers[-1], reverse)
    if isinstance(cell, Wrapper):
        return _complete_at_end(cell.cell, reverse)
    return np.full(cell.output_size, not reverse)
