"""Sparse n-step approximation of real-time recurrent learning."""

import dataclasses
from typing import Any

import jax

from rnn_jax import checks
from rnn_jax.gradients.online import FlatCell
from rnn_jax.gradients.pattern import Blocks, blocks
from rnn_jax.gradients.sparse import Sparse


@dataclasses.dataclass(frozen=True)
class SnAp(Sparse):
    """SnAp-n: RTRL that keeps only the entries of M = ds_t/dtheta that a parameter reaches within n steps.

        M_t = mask * (D_t M_{t-1} + F_t),      D = dstep/ds [S, S],   F = dstep/dtheta [S, P]

    With n = 1 a parameter keeps its influence on its own unit: memory O(P) per sequence. It is exact if units do not
    interact (minGRU with n = 1; LRU with n = 2, as its complex units have two components). With n = 2 a densely
    connected layer keeps every entry, which is `RTRL`; larger n are for sparse weights. D itself is [S, S]. Menick et
    al. 2021, "Practical real time recurrent learning with a sparse approximation", arXiv:2006.07232.

    >>> import jax
    >>> from rnn_jax import LSTM, gradients, models, tasks
    >>> model, task = models.ReadoutModel(LSTM(2, 3), 1), tasks.Adding(length=6)
    >>> params, batch = model.init(jax.random.key(0)), task.sample(jax.random.key(1), 1)
    >>> loss, estimator = gradients.task_loss(model, task, batch), gradients.SnAp(1)
    >>> carry = estimator.init(model.cell, params, batch.inputs)
    >>> value, gradient, carry = estimator(model.cell, loss, params, carry, batch.inputs, batch)
    >>> gradients.RTRL().init(model.cell, params, batch.inputs).influence.size, carry.influence.size  # [S, P], sparse
    (432, 216)

    Args:
      steps: number of steps n.

    Raises:
      ValueError: if `steps` is not a positive integer.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.steps, "SnAp: steps")

    def blocks(self, flat: FlatCell, x: Any) -> Blocks:
        return blocks(flat, x, self.steps)

    def jacobian(self, flat: FlatCell, theta: jax.Array, s: jax.Array, x: Any) -> jax.Array:
        return jax.jacrev(flat.step, argnums=1)(theta, s, x)
