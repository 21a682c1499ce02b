"""What is run: the config, its flags' meaning, and the list of runs it makes, checked before anything is run."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from experiments.common import networks, not_finite
from experiments.common.command_line import UserError, setting
from rnn_jax import cells, initializers, tasks, training

# What is varied in a cell's initialisation, given the task's longest dependency; the first is the cell's default.
INITIALISATIONS: dict[str, dict[str, Callable[[int], dict[str, Any]]]] = {
    "rnn": {
        "orthogonal": lambda _: {},
        "uniform": lambda _: {"recurrent_init": initializers.Uniform()},
        "IRNN": lambda _: {
            "activation": jax.nn.relu,
            "recurrent_init": initializers.ScaledIdentity(),
            "input_init": initializers.Normal(0.001),
        },
    },
    "lstm": {
        "bias 1": lambda _: {},
        "chrono": lambda lag: {"forget_bias": initializers.Chrono(lag)},
    },
    "gru": {
        "bias 0": lambda _: {},
        "chrono": lambda lag: {"update_bias": initializers.Chrono(lag)},
    },
}

# Optimization steps by which, at T = 100, what learns a task at all in this time has learnt it.
STEPS = {"adding": 1000, "temporal_order_6a": 600}
OTHER_STEPS = 800


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    tasks: tuple[str, ...] = setting(
        ("adding", "temporal_order_6a", "copying", "digits"),
        f"Comma list of {', '.join([*tasks.SYNTHETIC, *tasks.IMAGES])}.",
    )
    cells: tuple[str, ...] = setting(
        ("rnn", "lstm", "gru"), f"Comma list of {', '.join(cells.CELLS)}, or your own as module:Class."
    )
    inits: str = setting("all", "Initialisations of each cell: all, or default.")
    length: int = setting(100, "T of the synthetic tasks, in steps.")
    hidden_size: int = setting(32, "Units of the hidden state.")
    batch_size: int = setting(20, "Sequences an optimization step.")
    steps: int | None = setting(None, "Optimization steps; by default each task's own number.")
    learning_rate: float = setting(0.01, "Adam's learning rate.")
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    not_finite: str = setting("stop", not_finite.HELP)
    seeds: int = setting(5, "Runs of each cell, all in one compiled program.")
    seed: int = setting(0, "From which every random number follows.")
    mnist: str | None = setting(None, "Folder with MNIST's four IDX files, gzip or not, for the MNIST tasks.")


QUICK = Config(tasks=("adding",), inits="default", length=20, hidden_size=16, steps=300, seeds=2)


@dataclasses.dataclass(frozen=True)
class Run:
    """One line of the table: a cell with an initialisation on a task, all its seeds in one program."""

    task_name: str
    cell_name: str
    initialisation: str
    is_default: bool
    task: tasks.Task
    trainer: training.Trainer
    steps: int

    @property
    def name(self) -> str:
        return f"{self.task_name}/{self.cell_name}/{self.initialisation}"


def plan(config: Config) -> list[Run]:
    """Every run of a config, in the order of the table.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    for name in ("length", "hidden_size", "batch_size", "seeds", "steps", "learning_rate", "clip_norm"):
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise UserError(f"--{name} must be positive, got {value}")
    for name in ("tasks", "cells"):
        values = getattr(config, name)
        if not values or len(set(values)) < len(values):
            raise UserError(f"--{name} must name at least one and none twice, got {','.join(values)!r}")
    if config.inits not in ("all", "default"):
        raise UserError(f"--inits must be all or default, got {config.inits!r}")
    runs: list[Run] = []
    for task_name in config.tasks:
        try:
            task = tasks.find(task_name, config.length, config.mnist)
            for cell_name in config.cells:
                runs.extend(_runs(config, task_name, task, cell_name))
        except ValueError as error:
            raise UserError(str(error)) from error
    return runs


def _runs(config: Config, task_name: str, task: tasks.Task, cell_name: str) -> list[Run]:
    """One cell on one task, in each of its initialisations."""
    variants = INITIALISATIONS.get(cell_name, {"its own": lambda _: {}})
    runs = []
    for index, (initialisation, fields) in enumerate(variants.items()):
        if index and config.inits == "default":
            break
        model = networks.make(cell_name, task, config.hidden_size)
        if not index:
            networks.check(cell_name, model, task)
        if varied := fields(task.dependency):
            model = dataclasses.replace(model, cell=dataclasses.replace(model.cell, **varied))
        trainer = training.Trainer(
            model,
            config.batch_size,
            training.Adam(config.learning_rate),
            training.ClipByNorm(config.clip_norm),
            not_finite=not_finite.find(config.not_finite),
        )
        steps = config.steps or STEPS.get(task_name, OTHER_STEPS)
        runs.append(Run(task_name, cell_name, initialisation, not index, task, trainer, steps))
    return runs
