"""Eligibility propagation: the influence of a parameter within its own unit."""

import dataclasses
from typing import Any

import jax

from rnn_jax import noise
from rnn_jax.cell import Cell, State
from rnn_jax.gradients.online import FlatCell, Online, OnlineCarry
from rnn_jax.gradients.pattern import Blocks, blocks
from rnn_jax.gradients.sparse import Sparse
from rnn_jax.models.readout import ReadoutParams


@dataclasses.dataclass(frozen=True)
class EProp(Sparse):
    """E-prop: the influence of a parameter on its own unit, with the recurrent product r held constant.

        M_t = E_t M_{t-1} + F_t,      E = dstep/ds at constant r,   F = dstep/dtheta

    The influence of units on one another is left out, so the gradient is biased, local and cheap: O(P) memory and
    operations. dL_t/ds_t is exact ("symmetric" feedback). For a leaky network it is RFLO (Murray 2019,
    arXiv:1805.11627) with the readout's weights as feedback; for an LSTM the trace of c decays by its forget gate; for
    a tanh network E is zero. Only for cells with `recurrent` and `activate`, which separate what units exchange from
    what stays within a unit. Bellec et al. 2020, "A solution to the learning dilemma for recurrent networks of spiking
    neurons".

    >>> import jax
    >>> from rnn_jax import LSTM, gradients, models, tasks
    >>> model, task = models.ReadoutModel(LSTM(2, 3), 1), tasks.Adding(length=6)
    >>> params, batch = model.init(jax.random.key(0)), task.sample(jax.random.key(1), 1)
    >>> loss, estimator = gradients.task_loss(model, task, batch), gradients.EProp()
    >>> carry = estimator.init(model.cell, params, batch.inputs)
    >>> value, gradient, carry = estimator(model.cell, loss, params, carry, batch.inputs, batch)
    >>> gradient.cell.w_h.shape
    (3, 12)

    Raises:
      TypeError: by `init`, if the cell does not define `recurrent` and `activate`.
    """

    def init(
        self, cell: Cell, params: ReadoutParams, xs: Any, state: State | None = None, key: noise.Key = noise.NOT_GIVEN
    ) -> OnlineCarry:
        """Returns the carry before the first segment; see `Estimator.init`."""
        if not cell.is_split:
            raise TypeError(
                f"EProp: cell must be a SplitCell, whose step is recurrent and activate, got {type(cell).__name__}"
            )
        return Online.init(self, cell, params, xs, state, key)

    def blocks(self, flat: FlatCell, x: Any) -> Blocks:
        return blocks(flat, x, None)

    def jacobian(self, flat: FlatCell, theta: jax.Array, s: jax.Array, x: Any) -> jax.Array:
        return jax.jacfwd(flat.activate, argnums=1)(theta, s, x)
