"""Config, flags and the list of runs that they make, checked before anything is run."""

import dataclasses

from experiments.common import flags, networks
from experiments.common.flags import TrainConfig, UserError, setting
from experiments.common.moments import MEASURED_SEQUENCES
from rnn_jax import tasks, training

NETWORKS = ("rnn", "irnn", "lstm_bias_0", "lstm_bias_1", "lstm_chrono", "gru")


@dataclasses.dataclass(frozen=True)
class Config(TrainConfig):
    """Config of a run; every field is a flag."""

    cells: tuple[str, ...] = setting(NETWORKS, networks.CELLS_HELP)
    task: str = setting("adding", networks.TASK_HELP)
    length: int = setting(100, "T, in steps.", checked=False)
    hidden_size: int = setting(32, "Units of the hidden state.")
    steps: int = setting(1000, "Optimization steps.")
    checkpoints: int = setting(8, "Number of measurements over the training, after the one at the start.")
    sequences: int = setting(4, "Sequences over which exponents and singular values are averaged.")


QUICK = Config(cells=("rnn", "lstm_chrono"), length=30, hidden_size=16, steps=200, checkpoints=4, seeds=2)


@dataclasses.dataclass(frozen=True)
class Run:
    """A cell on the task, all its seeds in one program."""

    name: str
    task: tasks.Task
    trainer: training.Trainer

    @property
    def label(self) -> str:
        """Name in tables and figures: of module:Class the class."""
        return networks.short_name(self.name)


def plan(config: Config) -> list[Run]:
    """Returns every run of a config, in order.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    if config.sequences > MEASURED_SEQUENCES:
        raise UserError(f"--sequences must be at most {MEASURED_SEQUENCES}, got {config.sequences}")
    if config.steps % config.checkpoints:
        raise UserError(f"--steps must be a multiple of --checkpoints {config.checkpoints}, got {config.steps}")
    if ":" not in config.task and config.task not in tasks.SYNTHETIC:
        known = ", ".join(tasks.SYNTHETIC)
        raise UserError(f"--task must be one of {known}, or user-defined as module:Class, got {config.task!r}")
    with flags.user_errors(f"--length {config.length}"):
        task = tasks.find(config.task, config.length)
        if task.dependency < 3:
            raise ValueError(f"the dependency must be at least 3 steps long, got {task.dependency}")
    models = {name: networks.make_model(name, task, config.hidden_size) for name in config.cells}
    for name, model in models.items():
        networks.probe_on_task(name, model, task)
    return [Run(name, task, config.adam(model)) for name, model in models.items()]
