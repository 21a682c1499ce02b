"""What keeps one large gradient from undoing a training: the clippings of optax as values."""

import dataclasses

import optax

from rnn_jax import checks


@dataclasses.dataclass(frozen=True)
class ClipByNorm:
    """g <- g min(1, limit / ||g||), ||g|| over all parameters together (Pascanu et al. 2013, arXiv:1211.5063).

    It keeps the gradient's direction.

    Raises:
      ValueError: where the limit is not a positive number.
    """

    limit: float

    def __post_init__(self) -> None:
        checks.positive(self.limit, "ClipByNorm: limit")

    @property
    def transformation(self) -> optax.GradientTransformation:
        return optax.clip_by_global_norm(self.limit)


@dataclasses.dataclass(frozen=True)
class ClipByValue:
    """Each number of the gradient to [-limit, limit] (Mikolov 2012); it bends the direction.

    Raises:
      ValueError: where the limit is not a positive number.
    """

    limit: float

    def __post_init__(self) -> None:
        checks.positive(self.limit, "ClipByValue: limit")

    @property
    def transformation(self) -> optax.GradientTransformation:
        return optax.clip(self.limit)


@dataclasses.dataclass(frozen=True)
class ClipAdaptively:
    """The gradient of each unit to `ratio` of that unit's own weights' norm (Brock et al. 2021, arXiv:2102.06171).

    A unit is a column of a matrix [in, out]; weights of a norm below 0.001 count as 0.001.

    Raises:
      ValueError: where the ratio is not a positive number.
    """

    ratio: float

    def __post_init__(self) -> None:
        checks.positive(self.ratio, "ClipAdaptively: ratio")

    @property
    def transformation(self) -> optax.GradientTransformation:
        return optax.adaptive_grad_clip(self.ratio)


Clipping = ClipByNorm | ClipByValue | ClipAdaptively
