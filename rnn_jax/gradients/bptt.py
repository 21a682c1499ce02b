"""Backpropagation through time: the gradient itself."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.gradients.estimator import Estimate, ReadoutLoss, SegmentStart
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.unrolling import unroll


@dataclasses.dataclass(frozen=True)
class BPTT:
    """`jax.value_and_grad` through the whole stretch, by any engine; Werbos 1990, "Backpropagation through time".

    Exact for a sequence given as one stretch. Over several, no gradient goes from one to the one before: that is
    truncated BPTT with an update a segment. Memory is the engine's, O(T) for most.

    Args:
      engine: how the recurrence and its adjoint are solved.
    """

    engine: Engine = Hoisted()

    def init(
        self, cell: Cell, params: ReadoutParams, xs: Any, state: State | None = None, key: jax.Array | None = None
    ) -> SegmentStart:
        return SegmentStart.of(cell, params.cell, xs, state, key)

    def __call__(
        self,
        cell: Cell,
        loss: ReadoutLoss,
        params: ReadoutParams,
        carry: SegmentStart,
        xs: Any,
        targets: Any,
        *,
        lengths: Any = None,
        resets: Any = None,
    ) -> Estimate:
        carry, key = carry.draw()

        def whole(params: ReadoutParams) -> tuple[jax.Array, State]:
            state = carry.cut(cell, params.cell, xs)
            state, ys = unroll(
                cell, params.cell, xs, state, lengths=lengths, resets=resets, engine=self.engine, key=key
            )
            return loss(params.readout, ys, targets), state

        (value, state), gradient = jax.value_and_grad(whole, has_aux=True)(params)
        return Estimate(value, gradient, carry._replace(state=state, own=jnp.zeros_like(carry.own)))
