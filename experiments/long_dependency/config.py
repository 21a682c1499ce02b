"""What is run: the config, its flags' meaning, and the items it makes, checked before anything is run."""

import dataclasses
import functools
import math
from collections.abc import Sequence

from experiments.common import networks
from experiments.common.flags import UserError, setting
from experiments.long_dependency.presets import PRESETS
from experiments.long_dependency.recipe import Recipe
from rnn_jax import cells, tasks, training

NETWORKS = ", ".join([*cells.CELLS, *networks.VARIANTS])


@dataclasses.dataclass(frozen=True)
class Config:
    """What is run; every field is a flag."""

    preset: str | None = setting(None, f"Recipes with a name: one of {', '.join(PRESETS)}.")
    tasks: tuple[str, ...] | None = setting(
        None,
        f"Comma list of {', '.join([*tasks.SYNTHETIC, *tasks.IMAGES])}. Adding by default; of a preset, "
        "which of its tasks, by default all; --cells and --lengths alike.",
    )
    cells: tuple[str, ...] | None = setting(
        None, f"Comma list of {NETWORKS}, or your own as module:Class. By default rnn, lstm, gru."
    )
    lengths: tuple[str, ...] | None = setting(None, "Comma list of T of the synthetic tasks, in steps; 100 by default.")
    hidden_size: int | None = setting(None, "Units of each layer; 64 by default.")
    layers: int | None = setting(None, "Layers, one above the other; 1 by default.")
    batch_size: int | None = setting(None, "Sequences an optimization step; 20 by default.")
    steps: int | None = setting(None, "Optimization steps at the most; 5000 by default.")
    evaluate_every: int | None = setting(None, "Steps between two looks at the test set; 100 by default.")
    learning_rate: float | None = setting(None, "Adam's learning rate; 0.002 by default.")
    clip_norm: float | None = setting(None, "Global gradient norm to which gradients are clipped; 1 by default.")
    share: float = setting(1.0, "Of a preset's optimization steps, those that are made: 0.05 is a twentieth.")
    seeds: int = setting(3, "Runs of each network, all in one compiled program.")
    seed: int = setting(0, "From which every random number follows.")
    mnist: str | None = setting(None, "Folder with MNIST's four IDX files, gzip or not, for the MNIST tasks.")


# Of the flags that a preset has its own values for.
DEFAULTS = {
    "hidden_size": 64,
    "layers": 1,
    "batch_size": 20,
    "steps": 5000,
    "evaluate_every": 100,
    "learning_rate": 2e-3,
    "clip_norm": 1.0,
}

QUICK = Config(
    tasks=("adding",),
    cells=("rnn", "lstm_chrono"),
    lengths=("20",),
    hidden_size=16,
    steps=400,
    learning_rate=0.01,
    seeds=2,
)


@dataclasses.dataclass(frozen=True)
class Item:
    """A recipe made ready: all its seeds are one program."""

    recipe: Recipe
    task: tasks.Task
    trainer: training.Trainer

    @property
    def name(self) -> str:
        return f"{self.recipe.task}/{self.task.length}/{self.recipe.cell}"

    @property
    def work(self) -> int:
        """Steps of the recurrence in all of its training, the unit of progress."""
        return self.recipe.steps * self.task.sequence_length


def plan(config: Config) -> list[Item]:
    """Every item of a config, in the order of the table.

    Raises:
      UserError: where a flag's value cannot be run.
    """
    for name in (*DEFAULTS, "seeds"):
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"--{name} must be a positive number, got {value}")
    if not 0 < config.share <= 1:
        raise UserError(f"--share must be above 0 and at most 1, got {config.share}")
    if config.preset is None and config.share < 1:
        raise UserError("--share is of a preset's steps: give --preset, or --steps instead")
    for name in ("tasks", "cells", "lengths"):
        values = getattr(config, name)
        if values is not None and (not values or len(set(values)) < len(values)):
            raise UserError(f"--{name} must name at least one and none twice, got {','.join(values)!r}")
    if config.lengths is not None and not all(text.isdecimal() and int(text) for text in config.lengths):
        raise UserError(f"--lengths must be positive integers, got {','.join(config.lengths)!r}")
    recipes = _of_flags(config) if config.preset is None else _of_preset(config, config.preset)

    find = functools.cache(functools.partial(_task, config.mnist))
    items = []
    for recipe in recipes:
        task = find(recipe.task, recipe.length)
        model = networks.make_model(recipe.cell, task, recipe.hidden_size, recipe.layers)
        networks.probe_on_task(recipe.cell, model, task)
        items.append(Item(recipe, task, training.Trainer(model, recipe.batch_size, recipe.optimizer, recipe.clip)))
    return items


def _task(images: str | None, name: str, length: int) -> tasks.Task:
    try:
        return tasks.find(name, length, images)
    except ValueError as error:
        raise UserError(str(error)) from error


def _of_flags(config: Config) -> list[Recipe]:
    def value(name: str) -> int | float:
        given = getattr(config, name)
        return DEFAULTS[name] if given is None else given

    def lengths(task: str) -> Sequence[str]:
        return ("0",) if task in tasks.IMAGES else config.lengths or ("100",)

    return [
        Recipe(
            task,
            int(length),
            cell,
            hidden_size=int(value("hidden_size")),
            batch_size=int(value("batch_size")),
            steps=int(value("steps")),
            evaluate_every=int(value("evaluate_every")),
            optimizer=training.Adam(value("learning_rate")),
            clip=training.ClipByNorm(value("clip_norm")),
            layers=int(value("layers")),
        )
        for task in config.tasks or ("adding",)
        for length in lengths(task)
        for cell in config.cells or ("rnn", "lstm", "gru")
    ]


def _of_preset(config: Config, name: str) -> list[Recipe]:
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}: known are {', '.join(PRESETS)}")
    own = [flag for flag in DEFAULTS if getattr(config, flag) is not None]
    if own:
        raise UserError(f"--preset={name} has its own values for {', '.join(f'--{flag}' for flag in own)}")
    recipes = PRESETS[name]
    for flag, field in (("tasks", "task"), ("cells", "cell"), ("lengths", "length")):
        wanted = getattr(config, flag)
        if wanted is None:
            continue
        known = list(dict.fromkeys(str(getattr(recipe, field)) for recipe in PRESETS[name]))
        if unknown := [each for each in wanted if each not in known]:
            raise UserError(f"--{flag}: {unknown[0]!r} is not in preset {name}, which has {', '.join(known)}")
        recipes = tuple(recipe for recipe in recipes if str(getattr(recipe, field)) in wanted)
    if not recipes:
        raise UserError(f"preset {name} has no recipe with all of --tasks, --cells and --lengths")
    return [recipe.shortened(config.share) for recipe in recipes]
