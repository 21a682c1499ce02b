"""Config, flags and the list of runs that they make, checked before anything is run."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from experiments.common import flags, networks, not_finite
from experiments.common.flags import EngineConfig, TrainConfig, UserError, setting
from rnn_jax import initializers, tasks, training

# Variants of each cell's initialisation, as functions of the task's longest dependency; the first is the default.
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

# Optimization steps after which, at T = 100, every network that learns the task in this time has learned it.
STEPS = {"adding": 1000, "temporal_order_6a": 600}
OTHER_STEPS = 800


@dataclasses.dataclass(frozen=True)
class Config(EngineConfig, TrainConfig):
    """Config of a run; every field is a flag."""

    tasks: tuple[str, ...] = setting(("adding", "temporal_order_6a", "copying", "digits"), f"{networks.TASKS_HELP}.")
    cells: tuple[str, ...] = setting(("rnn", "lstm", "gru"), networks.CELLS_HELP)
    inits: str = setting("all", "Initialisations of each cell: all, or default.", choices=("all", "default"))
    length: int = setting(100, "T of the synthetic tasks, in steps.", needs=networks.SYNTHETIC)
    hidden_size: int = setting(32, "Units of the hidden state.")
    steps: int | None = setting(None, "Optimization steps; by default each task's own number.")
    not_finite: str = setting("stop", not_finite.HELP, choices=tuple(not_finite.POLICIES))
    seeds: int = setting(5)
    mnist: str | None = setting(None, networks.MNIST_HELP, needs=networks.MNIST)
    cifar: str | None = setting(None, networks.CIFAR_HELP, needs=networks.CIFAR)


QUICK = Config(tasks=("adding",), inits="default", length=20, hidden_size=16, steps=300, seeds=2)


@dataclasses.dataclass(frozen=True)
class Run:
    """A cell with an initialisation on a task, all its seeds in one program: one row of the table."""

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

    @property
    def label(self) -> str:
        """Cell and initialisation; of module:Class the class."""
        return f"{networks.short_name(self.cell_name)}/{self.initialisation}"


def plan(config: Config) -> list[Run]:
    """Returns every run of a config, in the order of the table.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    runs: list[Run] = []
    for task_name in config.tasks:
        try:
            task = tasks.find(task_name, config.length, config.mnist, config.cifar)
            for cell_name in config.cells:
                runs.extend(_runs(config, task_name, task, cell_name))
        except ValueError as error:
            raise UserError(str(error)) from error
    return runs


def _runs(config: Config, task_name: str, task: tasks.Task, cell_name: str) -> list[Run]:
    """Returns the runs of one cell on one task, one for each initialisation."""
    variants = INITIALISATIONS.get(cell_name, {"default": lambda _: {}})
    runs = []
    for index, (initialisation, fields) in enumerate(variants.items()):
        if index and config.inits == "default":
            break
        model = networks.make_model(cell_name, task, config.hidden_size)
        if not index:
            networks.probe_on_task(cell_name, model, task, config.estimator.engine)
        if changes := fields(task.dependency):
            model = dataclasses.replace(model, cell=dataclasses.replace(model.cell, **changes))
        policy = not_finite.POLICIES[config.not_finite]
        trainer = config.adam(model, estimator=config.estimator, not_finite=policy)
        steps = config.steps or STEPS.get(task_name, OTHER_STEPS)
        runs.append(Run(task_name, cell_name, initialisation, not index, task, trainer, steps))
    return runs
