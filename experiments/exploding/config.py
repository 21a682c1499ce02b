"""Config, flags and the trainings that they make, checked before anything is run."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from experiments.common import flags
from experiments.common.flags import TrainConfig, UserError, chosen, setting
from rnn_jax import ReadoutModel, cells, initializers, tasks, training
from rnn_jax.models.readout import identity

GAINS = ("0.5", "0.75", "1", "1.1", "1.2", "1.3", "1.4", "1.5", "1.75", "2")
MATRICES = ("orthogonal", "gaussian")
ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "linear": identity}
TRAINED = ("tanh", "relu")
CLIPPINGS = ("none", "norm", "value", "adaptive")


@dataclasses.dataclass(frozen=True)
class Config(TrainConfig):
    """Config of a run; every field is a flag."""

    gains: tuple[str, ...] = setting(GAINS, "Comma list of recurrent gains g.", checked=False)
    activations: tuple[str, ...] = setting(TRAINED, f"Comma list of {', '.join(TRAINED)} to train.", choices=TRAINED)
    clippings: tuple[str, ...] = setting(
        CLIPPINGS, f"Comma list of {', '.join(CLIPPINGS)}; must include none.", choices=CLIPPINGS
    )
    length: int = setting(100, "T of the adding problem, in steps; at least 3, for a slope over the lag.", least=3)
    hidden_size: int = setting(32, "Units of the hidden state.")
    steps: int = setting(500, "Optimization steps.")
    learning_rate: float = setting(0.01, "SGD's learning rate.")
    clip_norm: float = setting(1.0, "Global gradient norm of clipping by norm.", needs=chosen("clippings", "norm"))
    clip_value: float = setting(
        0.1,
        "Largest absolute value of a gradient's component in clipping by value.",
        needs=chosen("clippings", "value"),
    )
    clip_ratio: float = setting(
        0.1,
        "Ratio of a unit's gradient norm to its weights' norm in adaptive clipping.",
        needs=chosen("clippings", "adaptive"),
    )
    seeds: int = setting(5, "Networks of each gain; all gains and seeds are one compiled program.")


QUICK = Config(gains=("0.5", "1", "1.5", "2"), length=50, hidden_size=16, steps=60, seeds=2)


class Plan(NamedTuple):
    """The task, the gains in ascending order, and a trainer for each activation with each clipping."""

    config: Config
    task: tasks.Adding
    gains: list[float]
    trainers: dict[tuple[str, str], training.Trainer]


def plan(config: Config) -> Plan:
    """Returns everything that a config asks for.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    if "none" not in config.clippings:
        raise UserError(f"--clippings must include none, for comparison, got {','.join(config.clippings)!r}")
    gains = flags.numbers(config, "gains")
    clips: dict[str, Any] = {
        "none": None,
        "norm": training.ClipByNorm(config.clip_norm),
        "value": training.ClipByValue(config.clip_value),
        "adaptive": training.ClipAdaptively(config.clip_ratio),
    }
    optimizer = training.SGD(config.learning_rate)
    trainers = {
        (activation, name): training.Trainer(model(config, activation), config.batch_size, optimizer, clips[name])
        for activation in config.activations
        for name in config.clippings
    }
    return Plan(config, tasks.Adding(config.length), gains, trainers)


def model(config: Config, activation: str, matrix: str = "orthogonal") -> ReadoutModel:
    """Returns the network with a linear readout, W_h drawn at gain 1.

    All singular values of an orthogonal W_h are 1. A Gaussian one has spectral radius 1 in the limit (Girko's law).
    """
    gaussian = initializers.Normal(config.hidden_size**-0.5)
    recurrent_init = initializers.Orthogonal() if matrix == "orthogonal" else gaussian
    return ReadoutModel(cells.VanillaRNN(2, config.hidden_size, ACTIVATIONS[activation], recurrent_init), 1)
