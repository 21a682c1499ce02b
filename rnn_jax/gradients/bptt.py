"""Backpropagation through time: the exact gradient."""

import dataclasses
from typing import Any

import jax

from rnn_jax import arrays, noise
from rnn_jax.cell import Cell, State
from rnn_jax.engines import Engine, Hoisted
from rnn_jax.gradients.estimator import Estimate, ReadoutLoss, SegmentStart
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.static import Static
from rnn_jax.unrolling import unroll


@dataclasses.dataclass(frozen=True)
class BPTT(Static):
    """Backpropagation through time: `jax.value_and_grad` through the whole segment, by any engine.

        dL/dtheta = sum_t (dstep/dtheta)^T a_t,      a_t = dL_t/ds_t + (ds_{t+1}/ds_t)^T a_{t+1}

    It is exact for a sequence given as one segment. Between segments the gradient is cut: that is truncated BPTT with
    one update per segment. Memory is the engine's, O(T) for most. Werbos 1990, "Backpropagation through time: what it
    does and how to do it".

    >>> import jax
    >>> from rnn_jax import GRU, gradients, models, tasks
    >>> model, task = models.ReadoutModel(GRU(2, 3), 1), tasks.Adding(length=6)
    >>> params, batch = model.init(jax.random.key(0)), task.sample(jax.random.key(1), 4)
    >>> loss, estimator = gradients.task_loss(model, task, batch), gradients.BPTT()
    >>> carry = estimator.init(model.cell, params, batch.inputs)
    >>> value, gradient, carry = estimator(model.cell, loss, params, carry, batch.inputs, batch)
    >>> gradient.cell.w_h.shape
    (3, 9)

    Args:
      engine: engine that solves the recurrence and its adjoint.
    """

    engine: Engine = Hoisted()

    def init(
        self, cell: Cell, params: ReadoutParams, xs: Any, state: State | None = None, key: noise.Key = noise.NOT_GIVEN
    ) -> SegmentStart:
        """Returns the carry before the first segment; see `Estimator.init`."""
        return SegmentStart.create(cell, params.cell, arrays.native(xs, "BPTT"), state, key)

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
        """Computes loss and gradient of a segment; see `Estimator.__call__`."""
        start, key = carry.split_key()

        def segment_loss(params: ReadoutParams) -> tuple[jax.Array, State]:
            state = start.detached_state(cell, params.cell, xs)
            state, ys = unroll(
                cell, params.cell, xs, state, lengths=lengths, resets=resets, engine=self.engine, key=key
            )
            return loss(params.readout, ys, targets), state

        (value, state), gradient = jax.value_and_grad(segment_loss, has_aux=True)(params)
        return Estimate(value, gradient, start.advance(state))
