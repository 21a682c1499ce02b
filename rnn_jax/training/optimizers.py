"""Optimizers as frozen dataclasses, so that a run's config can hold one; each is made by one function of optax."""

import dataclasses

import optax

from rnn_jax import checks
from rnn_jax.static import Static


@dataclasses.dataclass(frozen=True)
class Adam(Static):
    """Adam with the defaults of `optax.adam`. Source: Kingma & Ba 2015, arXiv:1412.6980.

    Args:
      learning_rate: step size.

    Raises:
      ValueError: if the learning rate is not a positive number.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        checks.positive(self.learning_rate, "Adam: learning_rate")

    @property
    def transformation(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)


@dataclasses.dataclass(frozen=True)
class SGD(Static):
    """Stochastic gradient descent, m <- g + momentum m, theta <- theta - learning_rate m; `optax.sgd`.

    Args:
      learning_rate: step size.
      momentum: decay of m, 0 for none.

    Raises:
      ValueError: if the learning rate is not a positive number, or momentum is not in [0, 1).
    """

    learning_rate: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        checks.positive(self.learning_rate, "SGD: learning_rate")
        checks.rate(self.momentum, "SGD: momentum")

    @property
    def transformation(self) -> optax.GradientTransformation:
        return optax.sgd(self.learning_rate, self.momentum or None)


@dataclasses.dataclass(frozen=True)
class RMSProp(Static):
    """RMSProp, v <- decay v + (1 - decay) g^2, theta <- theta - learning_rate g / (sqrt(v) + 1e-8); `optax.rmsprop`.

    Source: Tieleman & Hinton 2012; epsilon is outside the root, as in PyTorch, whose default decay is 0.99.

    Args:
      learning_rate: step size.
      decay: decay of v.
      momentum: momentum of the update, 0 for none.

    Raises:
      ValueError: if the learning rate is not a positive number, or decay or momentum is not in [0, 1).
    """

    learning_rate: float
    decay: float = 0.9
    momentum: float = 0.0

    def __post_init__(self) -> None:
        checks.positive(self.learning_rate, "RMSProp: learning_rate")
        checks.rate(self.decay, "RMSProp: decay")
        checks.rate(self.momentum, "RMSProp: momentum")

    @property
    def transformation(self) -> optax.GradientTransformation:
        return optax.rmsprop(self.learning_rate, self.decay, eps_in_sqrt=False, momentum=self.momentum or None)


@dataclasses.dataclass(frozen=True)
class CosineDecay(Static):
    """An optimizer whose update k is scaled by (1 + cos(pi k / steps)) / 2, and by 0 from `steps` on.

    For Adam, SGD and RMSProp this scales the learning rate; `optax.cosine_decay_schedule`. Source: Loshchilov & Hutter
    2017, arXiv:1608.03983, without restarts.

    Args:
      optimizer: optimizer whose updates are scaled.
      steps: number of optimization steps until the scale is 0.

    Raises:
      ValueError: if steps is not a positive integer.
    """

    optimizer: Adam | SGD | RMSProp
    steps: int

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.steps, "CosineDecay: steps")

    @property
    def transformation(self) -> optax.GradientTransformation:
        decay = optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, self.steps))
        return optax.chain(self.optimizer.transformation, decay)


Optimizer = Adam | SGD | RMSProp | CosineDecay
