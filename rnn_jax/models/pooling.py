"""What a classifier reads of a sequence: its outputs [T, *batch, F] to one vector [*batch, F], padding apart.

A pooling is a frozen dataclass, or any function hashable by value, that is called with the layer that gave the outputs,
the outputs, which are zero beyond each length as `rnn_jax.unroll` leaves them, and the lengths [*batch]. Of a sequence
of length 0 each of these gives zeros.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import masking
from rnn_jax.cell import Cell
from rnn_jax.layers import Bidirectional, Stack
from rnn_jax.wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class LastStep:
    """Of each direction the output that has seen the whole sequence: y_L, and at y_1 what was read from the end.

    L is each sequence's own length. Half of a bidirectional layer's y_L has seen x_L alone (what a plain `y[-1]` takes,
    Keras's `return_sequences=False` does not): of that half y_1 is taken.

    Raises:
      ValueError: by a call, where a layer's outputs of both directions are added up, so that neither can be read.
    """

    def __call__(self, cell: Cell, ys: jax.Array, lengths: jax.Array) -> jax.Array:
        at_end = jnp.broadcast_to(_complete_at_end(cell), ys.shape[1:])
        last = jnp.clip(lengths - 1, 0)[None, ..., None]
        return jnp.where(at_end, jnp.take_along_axis(ys, last, axis=0)[0], ys[0])


@dataclasses.dataclass(frozen=True)
class MeanPool:
    """sum_t y_t / L over t = 1..L."""

    def __call__(self, cell: Cell, ys: jax.Array, lengths: jax.Array) -> jax.Array:
        del cell
        return jnp.sum(ys, axis=0) / jnp.maximum(lengths, 1).astype(ys.dtype)[..., None]


@dataclasses.dataclass(frozen=True)
class MaxPool:
    """max_t y_t over t = 1..L, feature by feature (Collobert et al. 2011, "Natural language processing ...")."""

    def __call__(self, cell: Cell, ys: jax.Array, lengths: jax.Array) -> jax.Array:
        del cell
        valid = masking.before_end(lengths, len(ys))[..., None]
        highest = jnp.max(jnp.where(valid, ys, -jnp.inf), axis=0)
        return jnp.where((lengths > 0)[..., None], highest, jnp.zeros_like(highest))


# Any of them, or your own.
Pooling = Callable[[Cell, jax.Array, jax.Array], jax.Array]


def _complete_at_end(cell: Any, turned: bool = False) -> np.ndarray:
    """Of each output feature, whether it has seen all of a sequence at its last step; else it has at its first."""
    if isinstance(cell, Bidirectional):
        forward, backward = cell.forward, cell.forward if cell.backward is None else cell.backward
        if cell.merge != "concat":
            raise ValueError(f"LastStep: Bidirectional must have merge='concat', got {cell.merge!r}; or MeanPool()")
        return np.concatenate([_complete_at_end(forward, turned), _complete_at_end(backward, not turned)])
    if isinstance(cell, Stack):
        return _complete_at_end(cell.layers[-1], turned)
    if isinstance(cell, Wrapper):
        return _complete_at_end(cell.cell, turned)
    return np.full(cell.output_size, not turned)
