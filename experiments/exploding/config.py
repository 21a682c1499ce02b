"""What is run: the config, its flags' meaning, and the trainings it makes, checked before anything is run."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from experiments.common.flags import UserError, setting
from rnn_jax import ReadoutModel, cells, initializers, tasks, training
from rnn_jax.models.readout import identity
from rnn_jax.training.clipping import Clipping

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {"tanh": jnp.tanh, "relu": jax.nn.relu, "linear": identity}
TRAINED = ("tanh", "relu")
CLIPPINGS = ("none", "norm", "value", "adaptive")

# Of gain 1, by the number of units: all singular values 1, or the spectral radius 1 of a large matrix (Girko's law).
MATRICES: dict[str, Callable[[int], initializers.Initializer]] = {
    "orthogonal": lambda _: initializers.Orthogonal(),
    "gaussian": lambda units: initializers.Normal(units**-0.5),
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    gains: tuple[str, ...] = setting(
        ("0.5", "0.75", "1", "1.1", "1.2", "1.3", "1.4", "1.5", "1.75", "2"), "Comma list of recurrent gains g."
    )
    activations: tuple[str, ...] = setting(TRAINED, f"Comma list of {', '.join(TRAINED)}: what is trained.")
    clippings: tuple[str, ...] = setting(CLIPPINGS, f"Comma list of {', '.join(CLIPPINGS)}; none must be among them.")
    length: int = setting(100, "T of the adding problem, in steps.")
    hidden_size: int = setting(32, "Units of the hidden state.")
    batch_size: int = setting(20, "Sequences an optimization step.")
    steps: int = setting(500, "Optimization steps.")
    learning_rate: float = setting(0.01, "SGD's learning rate.")
    clip_norm: float = setting(1.0, "Global gradient norm that clipping by norm leaves.")
    clip_value: float = setting(0.1, "Absolute value of each number of the gradient that clipping by value leaves.")
    clip_ratio: float = setting(0.1, "Share of a unit's weights that adaptive clipping leaves its gradient.")
    seeds: int = setting(5, "Networks of each gain, all gains of an activation and clipping in one compiled program.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(gains=("0.5", "1", "1.5", "2"), length=50, hidden_size=16, steps=60, seeds=2)


@dataclasses.dataclass(frozen=True)
class Training:
    """One activation with one clipping, over all gains and seeds."""

    activation: str
    clipping: str
    trainer: training.Trainer

    def run_name(self, gain: float) -> str:
        """Of the seeds at one gain."""
        return f"{self.activation}/{self.clipping}/gain {gain:g}"


def plan(config: Config) -> tuple[tasks.Adding, list[float], list[Training]]:
    """The task, the gains in rising order and the trainings.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    for name in ("hidden_size", "batch_size", "seeds", "steps"):
        if not getattr(config, name) > 0:
            raise UserError(f"--{name} must be positive, got {getattr(config, name)}")
    for name in ("learning_rate", "clip_norm", "clip_value", "clip_ratio"):
        if not 0 < getattr(config, name) < math.inf:
            raise UserError(f"--{name} must be a positive number, got {getattr(config, name)}")
    for name, known in (("activations", TRAINED), ("clippings", CLIPPINGS)):
        values = getattr(config, name)
        if not values or len(set(values)) < len(values) or not set(values) <= set(known):
            raise UserError(f"--{name} must be of {', '.join(known)}, none twice, got {','.join(values)!r}")
    if "none" not in config.clippings:
        raise UserError(
            f"--clippings must name none, which the others are compared with, got {','.join(config.clippings)!r}"
        )
    if config.length < 3:
        raise UserError(f"--length must be at least 3 steps, for a slope over the lag, got {config.length}")
    clips: dict[str, Clipping | None] = {
        "none": None,
        "norm": training.ClipByNorm(config.clip_norm),
        "value": training.ClipByValue(config.clip_value),
        "adaptive": training.ClipAdaptively(config.clip_ratio),
    }
    trainings = [
        Training(
            activation,
            clipping,
            training.Trainer(
                model(config, activation), config.batch_size, training.SGD(config.learning_rate), clips[clipping]
            ),
        )
        for activation in config.activations
        for clipping in config.clippings
    ]
    return tasks.Adding(config.length), _gains(config.gains), trainings


def _gains(texts: tuple[str, ...]) -> list[float]:
    try:
        gains = [float(text) for text in texts]
    except ValueError:
        gains = [math.nan]
    if not gains or len(set(gains)) < len(gains) or not all(0 < gain < math.inf for gain in gains):
        raise UserError(f"--gains must be positive numbers, at least one and none twice, got {','.join(texts)!r}")
    return sorted(gains)


def model(config: Config, activation: str, matrix: str = "orthogonal") -> ReadoutModel:
    """The network, read linearly, its W_h drawn at gain 1."""
    recurrent_init = MATRICES[matrix](config.hidden_size)
    return ReadoutModel(cells.VanillaRNN(2, config.hidden_size, ACTIVATIONS[activation], recurrent_init), 1)
