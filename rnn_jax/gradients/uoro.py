"""Unbiased online recurrent optimization: a random rank-one influence whose expectation is the exact one."""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from rnn_jax import norms
from rnn_jax.gradients.online import FlatCell, Online

EPSILON = 1e-7  # added to norms, as in the paper


@dataclasses.dataclass(frozen=True)
class UORO(Online):
    """UORO: carries vectors a [S] and b [P] with E[a_t b_t^T] = M_t = ds_t/dtheta.

        a' = r_0 D a + r_1 v,   b' = b / r_0 + v^T F / r_1,   v uniform in {-1, 1}^S
        r_0^2 = ||b|| / ||D a||,   r_1^2 = ||v^T F|| / ||v||

    with D = dstep/ds and F = dstep/dtheta, neither of which is formed: one jvp and one vjp a step. The estimate
    (dL/ds . a) b is unbiased for any cell with a `step`, and its noise grows with the length of the sequence. Memory
    S + P per sequence. The scales r minimise the variance; they are even in v, so the expectation does not change.
    Tallec & Ollivier 2018, "Unbiased online recurrent optimization", arXiv:1702.05043.

    >>> import jax
    >>> from rnn_jax import LSTM, gradients, models, tasks
    >>> model, task = models.ReadoutModel(LSTM(2, 3), 1), tasks.Adding(length=6)
    >>> params, batch = model.init(jax.random.key(0)), task.sample(jax.random.key(1), 1)
    >>> loss, estimator = gradients.task_loss(model, task, batch), gradients.UORO()
    >>> carry = estimator.init(model.cell, params, batch.inputs, key=jax.random.key(2))
    >>> value, gradient, carry = estimator(model.cell, loss, params, carry, batch.inputs, batch)
    >>> [vector.shape for vector in carry.influence]  # a and b of one sequence
    [(1, 6), (1, 72)]

    Raises:
      ValueError: by `init`, if `key` is None.
    """

    is_random: ClassVar[bool] = True

    def init_influence(
        self, flat: FlatCell, theta: jax.Array, x: Any, is_initial: bool, key: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        s, pullback = jax.vjp(flat.initial, theta)
        v = _signs(key, s)
        return (v, pullback(v)[0]) if is_initial else (jnp.zeros_like(s), jnp.zeros_like(theta))

    def update_influence(
        self,
        flat: FlatCell,
        theta: jax.Array,
        s: jax.Array,
        x: Any,
        influence: tuple[jax.Array, jax.Array],
        key: jax.Array | None,
    ) -> tuple[jax.Array, jax.Array]:
        a, b = influence
        _, d_a = jax.jvp(lambda s: flat.step(theta, s, x), (s,), (a,))
        v = _signs(key, s)
        (v_f,) = jax.vjp(lambda theta: flat.step(theta, s, x), theta)[1](v)
        r_0, r_1 = _scale(b, d_a), _scale(v_f, v)
        return r_0 * d_a + r_1 * v, b / r_0 + v_f / r_1

    def contract(
        self, flat: FlatCell, theta: jax.Array, x: Any, influence: tuple[jax.Array, jax.Array], state_bar: jax.Array
    ) -> jax.Array:
        a, b = influence
        return jnp.dot(state_bar, a) * b


def _signs(key: jax.Array | None, like: jax.Array) -> jax.Array:
    assert key is not None  # `Online.init` refuses None
    return jax.random.rademacher(key, like.shape, like.dtype)


def _scale(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """Returns the square root of the ratio of two norms."""
    return jnp.sqrt((norms.norm(numerator) + EPSILON) / (norms.norm(denominator) + EPSILON))
