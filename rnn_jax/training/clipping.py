"""Gradient clipping as frozen dataclasses, each made by one function of optax."""

import dataclasses

import optax

from rnn_jax import checks
from rnn_jax.static import Static


@dataclasses.dataclass(frozen=True)
class ClipByNorm(Static):
    """Clips the total norm of the gradient: g <- g min(1, limit / ||g||); `optax.clip_by_global_norm`.

    The gradient keeps its direction. Source: Pascanu et al. 2013, arXiv:1211.5063.

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
        return optax.clip_by_global_norm(self.limit)


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
    """Clips each unit's gradient norm to `ratio` times the norm of that unit's weights; `optax.adaptive_grad_clip`.

    A unit is a column of a matrix [in, out]; weight norms below 0.001 count as 0.001. Source: Brock et al. 2021,
    arXiv:2102.06171.

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
        return optax.adaptive_grad_clip(self.ratio)


Clipping = ClipByNorm | ClipByValue | ClipAdaptively
