"""Config, flags and the trainings that they make, checked before anything is run."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from experiments.common import flags
from experiments.common.flags import TrainConfig, UserError, setting
from rnn_jax import ReadoutModel, cells, initializers, tasks, training
from rnn_jax.models.readout import identity
from rnn_jax.training.clipping import Clipping

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {"tanh": jnp.tanh, "relu": jax.nn.relu, "linear": identity}
TRAINED = ("tanh", "relu")
CLIPPINGS = ("none", "norm", "value", "adaptive")

# Matrices of gain 1, by number of units: all singular values 1; or spectral radius 1 in the limit (Girko's law).
MATRICES: dict[str, Callable[[int], initializers.Initializer]] = {
    "orthogonal": lambda _: initializers.Orthogonal(),
    "gaussian": lambda units: initializers.Normal(units**-0.5),
}


@dataclasses.dataclass(frozen=True)
class Config(TrainConfig):
    """Config of a run; every field is a flag."""

    gains: tuple[str, ...] = setting(
        ("0.5", "0.75", "1", "1.1", "1.2", "1.3", "1.4", "1.5", "1.75", "2"),
        "Comma list of recurrent gains g.",
        checked=False,
    )
    activations: tuple[str, ...] = setting(TRAINED, f"Comma list of {', '.join(TRAINED)} to train.", choices=TRAINED)
    clippings: tuple[str, ...] = setting(
        CLIPPINGS, f"Comma list of {', '.join(CLIPPINGS)}; must include none.", choices=CLIPPINGS
    )
    length: int = setting(100, "T of the adding problem, in steps; at least 3, for a slope over the lag.", least=3)
    hidden_size: int = setting(32, "Units of the hidden state.")
    steps: int = setting(500, "Optimization steps.")
    learning_rate: float = setting(0.01, "SGD's learning rate.")
    clip_norm: float = setting(1.0, "Global gradient norm of clipping by norm.")
    clip_value: float = setting(0.1, "Largest absolute value of a gradient's component in clipping by value.")
    clip_ratio: float = setting(0.1, "Ratio of a unit's gradient norm to its weights' norm in adaptive clipping.")
    seeds: int = setting(5, "Networks of each gain; all gains and seeds are one compiled program.")


QUICK = Config(gains=("0.5", "1", "1.5", "2"), length=50, hidden_size=16, steps=60, seeds=2)


@dataclasses.dataclass(frozen=True)
class Training:
    """One activation with one clipping, over all gains and seeds."""

    activation: str
    clipping: str
    trainer: training.Trainer

    def run_name(self, gain: float) -> str:
        return f"{self.activation}/{self.clipping}/gain {gain:g}"


@dataclasses.dataclass(frozen=True)
class Plan:
    """The task, the gains in ascending order, and the trainings."""

    config: Config
    task: tasks.Adding
    gains: list[float]
    trainings: list[Training]


def plan(config: Config) -> Plan:
    """Returns everything that a config asks for.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    if "none" not in config.clippings:
        raise UserError(
            f"--clippings must include none, to compare the others with, got {','.join(config.clippings)!r}"
        )
    clips: dict[str, Clipping | None] = {
        "none": None,
        "norm": training.ClipByNorm(config.clip_norm),
        "value": training.ClipByValue(config.clip_value),
        "adaptive": training.ClipAdaptively(config.clip_ratio),
    }
    optimizer = training.SGD(config.learning_rate)
    trainings = [
        Training(a, c, training.Trainer(model(config, a), config.batch_size, optimizer, clips[c]))
        for a in config.activations
        for c in config.clippings
    ]
    return Plan(config, tasks.Adding(config.length), _gains(config.gains), trainings)


def _gains(texts: tuple[str, ...]) -> list[float]:
    try:
        gains = [float(text) for text in texts]
    except ValueError:
        gains = [math.nan]
    if not gains or len(set(gains)) < len(gains) or not all(0 < gain < math.inf for gain in gains):
        raise UserError(f"--gains must be positive numbers, at least one and none twice, got {','.join(texts)!r}")
    return sorted(gains)


def model(config: Config, activation: str, matrix: str = "orthogonal") -> ReadoutModel:
    """Returns the network with a linear readout, W_h drawn at gain 1."""
    recurrent_init = MATRICES[matrix](config.hidden_size)
    return ReadoutModel(cells.VanillaRNN(2, config.hidden_size, ACTIVATIONS[activation], recurrent_init), 1)
