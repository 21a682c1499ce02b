"""What is run: the config, its flags' meaning, and the list of runs it makes, checked before anything is run."""

import dataclasses
import math

from experiments.common import networks
from experiments.common.flags import UserError, setting
from rnn_jax import Cell, tasks, training

MEASURED_SEQUENCES = 64  # over which the gradient's norms and saturation are averaged

NETWORKS = ("rnn", "irnn", "lstm_bias_0", "lstm_bias_1", "lstm_chrono", "gru")


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    cells: tuple[str, ...] = setting(NETWORKS, f"Comma list of {', '.join(NETWORKS)}.")
    task: str = setting("adding", f"One of {', '.join(tasks.SYNTHETIC)}.")
    length: int = setting(100, "T, in steps.")
    hidden_size: int = setting(32, "Units of the hidden state.")
    batch_size: int = setting(20, "Sequences an optimization step.")
    steps: int = setting(1000, "Optimization steps.")
    checkpoints: int = setting(8, "How often, over training, the network is measured after the start.")
    sequences: int = setting(4, "Over which exponents and singular values are averaged.")
    learning_rate: float = setting(0.01, "Adam's learning rate.")
    clip_norm: float = setting(1.0, "Global gradient norm to which gradients are clipped.")
    seeds: int = setting(3, "Networks of each cell, all in one compiled program.")
    seed: int = setting(0, "From which every random number follows.")


QUICK = Config(cells=("rnn", "lstm_chrono"), length=30, hidden_size=16, steps=200, checkpoints=4, seeds=2)


@dataclasses.dataclass(frozen=True)
class Run:
    """A cell on the task, all its seeds in one program."""

    name: str
    task: tasks.Task
    trainer: training.Trainer
    steps: int  # from one checkpoint to the next

    @property
    def cell(self) -> Cell:
        return self.trainer.model.cell


def plan(config: Config) -> list[Run]:
    """Every run of a config, in order.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    for name in ("hidden_size", "batch_size", "sequences", "seeds", "checkpoints", "steps"):
        if not getattr(config, name) > 0:
            raise UserError(f"--{name} must be positive, got {getattr(config, name)}")
    if config.sequences > MEASURED_SEQUENCES:
        raise UserError(f"--sequences must be at most {MEASURED_SEQUENCES}, got {config.sequences}")
    for name in ("learning_rate", "clip_norm"):
        if not 0 < getattr(config, name) < math.inf:
            raise UserError(f"--{name} must be a positive number, got {getattr(config, name)}")
    if config.steps % config.checkpoints:
        raise UserError(f"--steps must be a multiple of --checkpoints {config.checkpoints}, got {config.steps}")
    if not config.cells or len(set(config.cells)) < len(config.cells):
        raise UserError(f"--cells must name at least one and none twice, got {','.join(config.cells)!r}")
    for name in config.cells:
        if name not in NETWORKS:
            raise UserError(f"--cells: unknown {name!r}: known are {', '.join(NETWORKS)}")
    if config.task not in tasks.SYNTHETIC:
        raise UserError(f"--task must be one of {', '.join(tasks.SYNTHETIC)}, got {config.task!r}")
    try:
        task = tasks.find(config.task, config.length)
        if task.dependency < 3:
            raise ValueError(f"a dependency of at least 3 steps is wanted, got {task.dependency}")
        models = {name: networks.make_model(name, task, config.hidden_size) for name in config.cells}
    except ValueError as error:
        raise UserError(f"--length {config.length}: {error}") from error
    optimizer, clip = training.Adam(config.learning_rate), training.ClipByNorm(config.clip_norm)
    return [
        Run(
            name,
            task,
            training.Trainer(model, config.batch_size, optimizer, clip),
            config.steps // config.checkpoints,
        )
        for name, model in models.items()
    ]
