"""Optimizers as frozen dataclasses, so that a run's config can hold one; each is made by one function of optax."""

import dataclasses
import fnmatch
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import optax

from rnn_jax import checks, static, trees
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
class AdamW(Static):
    """Adam with decoupled weight decay, theta <- theta - learning_rate (adam + weight_decay theta); `optax.adamw`.

    All parameters decay; `ByName` excepts some. Source: Loshchilov & Hutter 2019,
    arXiv:1711.05101.

    Args:
      learning_rate: step size.
      weight_decay: decay of the parameters; optax's default.

    Raises:
      ValueError: if the learning rate or the weight decay is not a positive number.
    """

    learning_rate: float
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        checks.positive(self.learning_rate, "AdamW: learning_rate")
        checks.positive(self.weight_decay, "AdamW: weight_decay")

    @property
    def transformation(self) -> optax.GradientTransformation:
        return optax.adamw(self.learning_rate, weight_decay=self.weight_decay)


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


@dataclasses.dataclass(frozen=True, init=False, repr=False)
class Optax(Static):
    """Any optimizer, schedule or chain of optax, by the function that makes it and its arguments.

    They name it in a config, and make equal optimizers share a compiled program. A `Trainer` also takes a
    `GradientTransformation` itself, but that equals no other one: a program is compiled for it alone, and no config of
    an experiment can name it.

    >>> import optax
    >>> Optax(optax.adamw, Optax(optax.cosine_decay_schedule, 1e-3, 1000), weight_decay=0.1)
    Optax(adamw, Optax(cosine_decay_schedule, 0.001, 1000), weight_decay=0.1)

    Args:
      make: function of a module.
      *arguments: its positional arguments, hashable; one that is an `Optax` is made first.
      **keywords: its keyword arguments, likewise.

    Raises:
      TypeError: if an argument is not hashable.
    """

    make: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...]

    def __init__(self, make: Callable[..., Any], *arguments: Any, **keywords: Any):
        for name, value in (("make", make), ("arguments", arguments), ("keywords", tuple(sorted(keywords.items())))):
            object.__setattr__(self, name, value)
        self.__post_init__()

    def __repr__(self) -> str:
        arguments = [*map(repr, self.arguments), *(f"{name}={value!r}" for name, value in self.keywords)]
        return f"Optax({', '.join([self.make.__qualname__, *arguments])})"

    @property
    def transformation(self) -> Any:
        """What `make` returns: a `GradientTransformation`, or for an argument of another `Optax` a schedule."""
        return self.make(*map(_made, self.arguments), **{name: _made(value) for name, value in self.keywords})


def _made(value: Any) -> Any:
    return value.transformation if isinstance(value, Optax) else value


@dataclasses.dataclass(frozen=True)
class ByName(Static):
    """Other optimizers for groups of parameters, by their names: rates of their own, or no weight decay.

    A name is the path to a parameter, as in `cell.0.w_h`, `cell.b`, `readout.params.kernel`; a pattern has a shell's
    wildcards (`fnmatch`), and the first group with a match takes the parameter. `optax.partition` does the rest.

    >>> slow_recurrence = ByName(Adam(1e-3), (("cell*.w_h", Adam(1e-4)),))
    >>> no_decay_of_biases = ByName(AdamW(1e-3, 0.1), (("*.b", Adam(1e-3)), ("*.bias", Adam(1e-3))))

    Args:
      optimizer: optimizer of all parameters that no pattern matches.
      groups: pairs of a pattern and the optimizer of the parameters that it matches.

    Raises:
      ValueError: when a training begins, if a pattern is the first to match no parameter.
      TypeError: if the groups are not pairs of a string and an optimizer.
    """

    optimizer: "Adam | AdamW | SGD | RMSProp | Optax"
    groups: "tuple[tuple[str, Adam | AdamW | SGD | RMSProp | Optax], ...]"

    def __post_init__(self) -> None:
        super().__post_init__()
        for group in self.groups:
            if not (isinstance(group, tuple) and len(group) == 2 and isinstance(group[0], str)):
                raise TypeError(f"ByName: groups must be pairs (pattern, optimizer), got {group!r}")
            transformation(group[1], "ByName")
        transformation(self.optimizer, "ByName")

    @property
    def transformation(self) -> optax.GradientTransformation:
        optimizers = [*(optimizer for _, optimizer in self.groups), self.optimizer]
        return optax.partition(dict(enumerate(transformation(each, "ByName") for each in optimizers)), self._labels)

    def _labels(self, params: Any) -> Any:
        """Returns the group of each parameter, counted; the last one is that of all others."""
        patterns, names = [*(pattern for pattern, _ in self.groups), "*"], [*trees.named_leaves(params)]
        labels = [next(i for i, p in enumerate(patterns) if fnmatch.fnmatchcase(name, p)) for name in names]
        if unused := [pattern for i, pattern in enumerate(patterns[:-1]) if i not in labels]:
            raise ValueError(
                f"ByName: pattern {unused[0]!r} must be the first to match some parameter: {trees.listed(names)}"
            )
        return jax.tree.unflatten(jax.tree.structure(params), labels)


@dataclasses.dataclass(frozen=True)
class CosineDecay(Static):
    """An optimizer whose update k is scaled by (1 + cos(pi k / steps)) / 2, and by 0 from `steps` on.

    For Adam, AdamW, SGD and RMSProp this scales the learning rate; `optax.cosine_decay_schedule`. Source: Loshchilov &
    Hutter 2017, arXiv:1608.03983, without restarts.

    Args:
      optimizer: optimizer whose updates are scaled.
      steps: number of optimization steps until the scale is 0.

    Raises:
      ValueError: if steps is not a positive integer.
    """

    optimizer: Adam | AdamW | SGD | RMSProp | Optax | ByName
    steps: int

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.steps, "CosineDecay: steps")

    @property
    def transformation(self) -> optax.GradientTransformation:
        decay = optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, self.steps))
        return optax.chain(self.optimizer.transformation, decay)


_Elementwise = Adam | AdamW | SGD | RMSProp
Optimizer: TypeAlias = _Elementwise | Optax | ByName | CosineDecay | optax.GradientTransformation


def transformation(optimizer: Optimizer, owner: str = "Trainer") -> optax.GradientTransformationExtraArgs:
    """Returns an optimizer as a transformation of optax.

    Args:
      optimizer: optimizer of this module, or a transformation of optax.
      owner: name of what it was given to, for the message.

    Raises:
      TypeError: if it is none.
    """
    static.check_part(optimizer, f"{owner}: optimizer")
    made = getattr(optimizer, "transformation", optimizer)
    if not isinstance(made, optax.GradientTransformation):
        raise TypeError(
            f"{owner}: optimizer must be an optimizer of rnn_jax.training or a GradientTransformation of optax, got "
            f"{optimizer!r}; write training.Adam(1e-3), optax.adamw(1e-3) or training.Optax(optax.adamw, 1e-3)"
        )
    return optax.with_extra_args_support(made)


def is_elementwise(optimizer: Optimizer) -> bool:
    """Returns whether each element's update depends on that element's gradients alone, as it need not in optax."""
    return isinstance(optimizer.optimizer if isinstance(optimizer, CosineDecay) else optimizer, _Elementwise)
