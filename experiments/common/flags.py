"""A config's fields as flags: default, help text and allowed values of each, stated beside the field."""

import contextlib
import dataclasses
import importlib.util
import math
import types
import typing
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from experiments.common.precision import PRODUCTS
from rnn_jax import BPTT, engines, training
from rnn_jax.data import Examples


class UserError(Exception):
    """What the user gave cannot be run; the message names the flag, the value it got and the one expected."""


@contextlib.contextmanager
def user_errors(source: str) -> Iterator[None]:
    """Turns a ValueError raised inside into a UserError whose message begins with the flag or file to blame."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{source}: {error}") from error


def require(requirement: str, use: str) -> None:
    """Checks that an optional package is installed.

    Args:
      requirement: package as pip takes it, such as "sacrebleu>=2.4".
      use: what needs it.

    Raises:
      UserError: if it is not; the message has the command that installs it.
    """
    package = requirement.partition(">=")[0]
    if importlib.util.find_spec(package.replace("-", "_")) is None:
        raise UserError(f'{use} needs {package}: pip install "{requirement}"')


MOST_SEED = 2**31 - 1  # JAX reads 32 bits of a seed: beyond them, another number would be the same seed


@dataclasses.dataclass(frozen=True)
class Need:
    """A condition without which a flag has no effect.

    Args:
      met: function from a config to whether it is met.
      otherwise: what stands in a message after "has no effect", as in "without --data".
    """

    met: Callable[[Any], bool]
    otherwise: str


def given(*names: str) -> Need:
    """Returns the need of a value for one of some flags that have none by default."""
    flags = " or ".join(f"--{name}" for name in names)
    return Need(lambda config: any(getattr(config, name) for name in names), f"without {flags}")


def chosen(name: str, *values: str) -> Need:
    """Returns the need of one of some values in a comma list."""
    return Need(
        lambda config: not {*values}.isdisjoint(getattr(config, name)), f"without --{name}={' or '.join(values)}"
    )


def setting(
    default: Any,
    help_text: str | None = None,
    *,
    share: bool = False,
    least: int | None = None,
    most: int | None = None,
    choices: Sequence[str] | None = None,
    checked: bool = True,
    replaces: Sequence[str] = (),
    needs: Need | None = None,
) -> Any:
    """Returns a dataclass field that is also a flag.

    Numbers must be positive and finite, comma lists must hold at least one name and none twice; None means "not given".

    Args:
      default: value without the flag.
      help_text: text for `--help`; None takes the text of the same field in the base class, for a new default.
      share: number must be in [0, 1) instead.
      least: smallest allowed number instead.
      most: largest allowed number, beside `least`.
      choices: names that a string or a comma list may hold; None allows any.
      checked: False leaves the value to the experiment (lists that may be empty).
      replaces: names of fields that have no effect if this one is not None; they and this one may not both be given.
      needs: condition without which the flag has no effect and may not be given.
    """
    numbers = {"share": share, "least": least, "most": most}
    related = {"replaces": replaces, "needs": needs}
    metadata = {"help": help_text, "choices": choices, "checked": checked, **related, **numbers}
    return dataclasses.field(default=default, metadata=metadata)


def help_text(config_class: type, name: str) -> str:
    """Returns the help text of a field, from the class that states it."""
    for base in config_class.__mro__:
        field = vars(base).get("__dataclass_fields__", {}).get(name)
        if field is not None and field.metadata.get("help"):
            return field.metadata["help"]
    raise TypeError(f"{config_class.__name__}.{name} has no help text")


def check_given(config: Any, names: Collection[str]) -> None:
    """Checks that the flags that the user has given have an effect; one without a value is not given.

    Raises:
      UserError: if one has none; the message names it and the flag that decides this.
    """
    for field in dataclasses.fields(config):
        need = field.metadata.get("needs")
        if need is not None and field.name in names and getattr(config, field.name) and not need.met(config):
            raise UserError(f"--{field.name} has no effect {need.otherwise}")


def plain_type(annotation: Any) -> type:
    """Returns `int` for `int | None`, `tuple` for `tuple[str, ...]`."""
    if isinstance(annotation, types.UnionType):
        (annotation,) = (a for a in typing.get_args(annotation) if a is not types.NoneType)
    return typing.get_origin(annotation) or annotation


def check(config: Any) -> None:
    """Checks every field of a config against what its `setting` allows.

    Raises:
      UserError: if a value is not allowed, or one that is none by default has no effect; the message names its flag.
    """
    for field in dataclasses.fields(config):
        value, rule = getattr(config, field.name), field.metadata
        if value is None or isinstance(value, bool) or not rule.get("checked", False):
            continue
        if rule["share"]:
            if not 0 <= value < 1:
                raise UserError(f"--{field.name} must be from 0 to below 1, got {value}")
        elif rule["least"] is not None:
            most = math.inf if rule["most"] is None else rule["most"]
            if not rule["least"] <= value <= most:
                expected = f"at least {rule['least']}" if most == math.inf else f"from {rule['least']} to {most}"
                raise UserError(f"--{field.name} must be {expected}, got {value}")
        elif isinstance(value, int | float):
            if not 0 < value < math.inf:
                kind = "a positive number" if plain_type(field.type) is float else "positive"
                raise UserError(f"--{field.name} must be {kind}, got {value}")
        elif isinstance(value, tuple):
            _check_names(field.name, value, rule["choices"])
        elif rule["choices"] is not None and value not in rule["choices"]:
            raise UserError(f"--{field.name} must be one of {', '.join(rule['choices'])}, got {value!r}")
    check_given(config, [field.name for field in dataclasses.fields(config) if not field.default])


def _check_names(name: str, values: tuple[str, ...], choices: Sequence[str] | None) -> None:
    if not values or len(set(values)) < len(values):
        raise UserError(f"--{name} must name at least one and none twice, got {','.join(values)!r}")
    if choices is not None and (unknown := [value for value in values if value not in choices]):
        raise UserError(f"--{name}: unknown {unknown[0]!r}: known are {', '.join(choices)}")


def numbers(config: Any, name: str, least: int | None = None) -> list[float]:
    """Returns the numbers of a comma list, ascending: positive ones, or integers of at least `least`.

    Raises:
      UserError: if there is none, one comes twice, or one is another.
    """
    texts = getattr(config, name)
    try:
        values = sorted({float(text) for text in texts})
    except ValueError:
        values = []
    allowed = [v for v in values if 0 < v < math.inf and (least is None or (v.is_integer() and v >= least))]
    if not allowed or len(allowed) < len(texts):
        kind = "positive numbers" if least is None else f"integers of at least {least}"
        raise UserError(f"--{name} must be {kind}, at least one, none twice, got {','.join(texts)!r}")
    return allowed


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """Flags of every experiment that computes."""

    seed: int = setting(0, "Seed of parameters, batches and noise.", least=0, most=MOST_SEED)
    matmul_precision: str = setting(
        "highest",
        f"Products of float32 matrices: {'; '.join(f'{name}: {meaning}' for name, meaning in PRODUCTS.items())}.",
        choices=tuple(PRODUCTS),
    )

    @property
    def networks(self) -> int | None:
        """Number of networks that a run trains at a time; None if it does more than train them."""
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineConfig(ComputeConfig):
    """Flags of every experiment that trains by an estimator of the gradient."""

    engine: str = setting(
        "Hoisted",
        "Engine that solves the recurrence in training; all give the same gradient. CuDNN is for lstm on an NVIDIA "
        "GPU, Fused for a TPU.",
        choices=tuple(engines.ENGINES),
    )

    @property
    def estimator(self) -> BPTT:
        """Backpropagation through time by the engine."""
        return BPTT(engines.ENGINES[self.engine]())


@dataclasses.dataclass(frozen=True)
class TrainConfig(ComputeConfig):
    """Flags of every experiment that trains."""

    batch_size: int = setting(20, "Sequences in an optimization step.")
    learning_rate: float = setting(0.01, "Adam's learning rate.")
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    seeds: int = setting(3, "Runs of each network, all in one compiled program.")

    def adam(self, model: Any, decay: int | None = None, **options: Any) -> training.Trainer[Any]:
        """Returns a trainer with Adam and clipping by norm.

        Args:
          model: model with a loss.
          decay: number of steps in which the learning rate falls to 0 along a cosine; None leaves it constant.
          **options: further fields of the trainer.
        """
        constant = training.Adam(self.learning_rate)
        optimizer = constant if decay is None else training.CosineDecay(constant, decay)
        return training.Trainer(model, self.batch_size, optimizer, training.ClipByNorm(self.clip_norm), **options)


@dataclasses.dataclass(frozen=True)
class FitConfig(TrainConfig):
    """Flags of every experiment that trains on a data set in epochs."""

    epochs: int = setting(10, "Epochs; the one with the best validation score counts.")
    batch_size: int = setting(32, "Examples in an optimization step.")
    learning_rate: float = setting(1e-3, "Adam's initial learning rate; it falls to 0 along a cosine.")

    def trainer(self, model: Any, buckets: Sequence[Examples]) -> training.Trainer[Any]:
        """Returns a trainer with Adam, cosine decay over all epochs and clipping by norm.

        Args:
          model: model with a loss.
          buckets: training examples.
        """
        return self.adam(model, self.epochs * training.epoch_steps(buckets, self.batch_size))
