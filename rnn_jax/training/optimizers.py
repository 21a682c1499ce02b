"""What a gradient becomes: the optimizers of optax as values, so that a run's config can hold one."""

import dataclasses

import optax

from rnn_jax import checks


@dataclasses.dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba 2015, arXiv:1412.6980), `optax.adam` with its defaults.

    Raises:
      ValueError: where the learning rate is not a positive number.
    """

    learning_rate: float

    def __post_init__(self) -> None:
        checks.positive(self.learning_rate, "Adam: learning_rate")

    @property
    def transformation(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)


@dataclasses.dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, theta <- theta - learning_rate m, m <- g + momentum m: `optax.sgd`.

    Raises:
      ValueError: where the learning rate is not a positive number, or momentum not in [0, 1).
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
class RMSProp:
    """v <- decay v + (1 - decay) g^2, theta <- theta - learning_rate g / (sqrt(v) + 1e-8): `optax.rmsprop`.

    Tieleman & Hinton 2012, with epsilon where PyTorch has it; PyTorch's decay is 0.99 by default.

    Raises:
      ValueError: where the learning rate is not a positive number, or decay or momentum not in [0, 1).
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
class CosineDecay:
    """An optimizer whose steps shrink to nothing (Loshchilov & Hutter 2017, arXiv:1608.03983, without restarts).

    Step k is scaled by (1 + cos(pi k / steps)) / 2, from `steps` on by 0: `optax.cosine_decay_schedule`. For Adam, SGD
    and RMSProp that is the learning rate scaled.

    Raises:
      ValueError: where steps is no positive integer.
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
