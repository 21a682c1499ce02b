"""Real-time recurrent learning: the exact influence of every parameter on every component of the state."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.gradients.online import FlatCell, Online


@dataclasses.dataclass(frozen=True)
class RTRL(Online):
    """Real-time recurrent learning: carries the exact influence M_t = ds_t/dtheta [S, P].

        M_t = D_t M_{t-1} + F_t,      D = dstep/ds [S, S],   F = dstep/dtheta [S, P]

    Equal to BPTT over the whole sequence, in any number of segments, as long as the parameters do not change; if they
    change between segments, M holds derivatives at the earlier ones. For any cell or stack with a `step`. Memory
    S P per sequence, for any T; S^2 P operations a step, at least S times those of BPTT. Williams & Zipser 1989,
    "A learning algorithm for continually running fully recurrent neural networks".

    >>> import jax, jax.numpy as jnp
    >>> from rnn_jax import GRU, gradients, models, tasks
    >>> model, task = models.ReadoutModel(GRU(2, 3), 1), tasks.Adding(length=6)
    >>> params, batch = model.init(jax.random.key(0)), task.sample(jax.random.key(1), 1)
    >>> loss = gradients.task_loss(model, task, batch)
    >>> def gradient(estimator):
    ...     carry = estimator.init(model.cell, params, batch.inputs)
    ...     return estimator(model.cell, loss, params, carry, batch.inputs, batch).gradient.cell.w_h
    >>> bool(jnp.allclose(gradient(gradients.RTRL()), gradient(gradients.BPTT()), atol=1e-6))
    True
    """

    def init_influence(
        self, flat: FlatCell, theta: jax.Array, x: Any, is_initial: bool, key: jax.Array | None
    ) -> jax.Array:
        influence = jax.jacrev(flat.initial)(theta)
        return influence if is_initial else jnp.zeros_like(influence)

    def update_influence(
        self, flat: FlatCell, theta: jax.Array, s: jax.Array, x: Any, influence: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        d_theta, d_state = jax.jacrev(flat.step, argnums=(0, 1))(theta, s, x)
        return d_state @ influence + d_theta

    def contract(
        self, flat: FlatCell, theta: jax.Array, x: Any, influence: jax.Array, state_bar: jax.Array
    ) -> jax.Array:
        return state_bar @ influence
