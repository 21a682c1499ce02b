"""Gradient clipping as frozen dataclasses: optax's functions, with norms that neither overflow nor underflow."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from rnn_jax import checks, norms
from rnn_jax.static import Static


@dataclasses.dataclass(frozen=True)
class ClipByNorm(Static):
    """Clips the total norm of the gradient: g <- g min(1, limit / ||g||).

    The gradient keeps its direction, also if its squares overflow, unlike with `optax.clip_by_global_norm`. Source:
    Pascanu et al. 2013, arXiv:1211.5063.

    Args:
      limit: largest norm over all parameters.

    Raises:
      ValueError: if the limit is not a positive number.
    """

    limit: float

    def __post_init__(self) -> None:
        checks.positive(self.limit, "ClipByNorm: limit")

    @property
    def transformation(self) -> optax.GradientTransformation:
        def clip(grads: Any, params: Any) -> Any:
            total, _ = norms.total_and_each(grads)
            return jax.tree.map(
                lambda g: jnp.where(total < self.limit, g, g / total.astype(g.dtype) * self.limit), grads
            )

        return optax.stateless(clip)


@dataclasses.dataclass(frozen=True)
class ClipByValue(Static):
    """Clips each element of the gradient to [-limit, limit]; `optax.clip`.

    This changes the gradient's direction. Source: Mikolov 2012.

    Args:
      limit: largest absolute value of an element.

    Raises:
      ValueError: if the limit is not a positive number.
    """

    limit: float

    def __post_init__(self) -> None:
        checks.positive(self.limit, "ClipByValue: limit")

    @property
    def transformation(self) -> optax.GradientTransformation:
        return optax.clip(self.limit)


@dataclasses.dataclass(frozen=True)
class ClipAdaptively(Static):
    """Clips each unit's gradient norm to `ratio` times the norm of that unit's weights.

    A unit is a column of a matrix [in, out]; weight norms below 0.001 count as 0.001. It keeps its direction, also if
    its squares overflow, unlike with `optax.adaptive_grad_clip`. Source: Brock et al. 2021, arXiv:2102.06171.

    Args:
      ratio: largest ratio of gradient norm to weight norm.

    Raises:
      ValueError: if the ratio is not a positive number.
    """

    ratio: float

    def __post_init__(self) -> None:
        checks.positive(self.ratio, "ClipAdaptively: ratio")

    @property
    def transformation(self) -> optax.GradientTransformation:
        def clip(grads: Any, params: Any) -> Any:
            return jax.tree.map(self._clip, grads, params)

        return optax.stateless(clip)

    def _clip(self, grad: jax.Array, param: jax.Array) -> jax.Array:
        grad_norm, limit = _unit_norms(grad), self.ratio * jnp.maximum(_unit_norms(param), 0.001)
        # The second form would underflow at such norms, and the first one has other bits.
        clipped = jnp.where(
            grad_norm > 2.0**64, grad / grad_norm * limit, grad * (limit / jnp.maximum(grad_norm, 1e-6))
        )
        return jnp.where(grad_norm < limit, grad, clipped)


def _unit_norms(x: jax.Array) -> jax.Array:
    """Returns the norm of each unit, with x's number of axes; the units of `optax.adaptive_grad_clip`."""
    if jnp.squeeze(x).ndim <= 1:
        return norms.norm(x, keepdims=True)
    return norms.norm(x, axis=0 if x.ndim <= 3 else tuple(range(x.ndim - 1)), keepdims=True)


Clipping = ClipByNorm | ClipByValue | ClipAdaptively
