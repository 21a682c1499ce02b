"""Config, flags, and the items that they make, checked before anything is run."""

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

from experiments.common import flags, networks, optimizers, rate_search
from experiments.common.flags import EngineConfig, UserError, setting
from experiments.long_dependency.presets import PRESETS
from experiments.long_dependency.recipe import Recipe, Recipes
from rnn_jax import tasks, training


@dataclasses.dataclass(frozen=True)
class Config(EngineConfig):
    """Config of a run; every field is a flag."""

    preset: str | None = setting(None, f"Named set of recipes: one of {', '.join(PRESETS)}.")
    tasks: tuple[str, ...] | None = setting(
        None,
        f"{networks.TASKS_HELP}; adding by default. With --preset, a selection of its tasks, all by default, and "
        "user-defined ones with its recipes; --cells and --lengths alike.",
    )
    cells: tuple[str, ...] | None = setting(None, f"{networks.CELLS_HELP} By default rnn, lstm, gru.")
    lengths: tuple[str, ...] | None = setting(
        None, "Comma list of T of the synthetic tasks, in steps; 100 by default.", needs=networks.SYNTHETIC
    )
    recipe: str | None = setting(
        None, "Cell of --preset whose recipe user-defined cells take; by default the last one for each task and T."
    )
    hidden_size: int | None = setting(None, "Units of each layer; 64 by default.")
    layers: int | None = setting(None, "Number of layers; 1 by default.")
    batch_size: int | None = setting(None, "Sequences in an optimization step; 20 by default.")
    steps: int | None = setting(None, "Optimization steps at most; 5000 by default.")
    evaluate_every: int | None = setting(None, "Optimization steps between two evaluations; 100 by default.")
    learning_rate: float | None = setting(None, "Adam's learning rate; 0.002 by default.")
    optimizer: str | None = setting(None, optimizers.HELP, replaces=("learning_rate",))
    clip_norm: float | None = setting(None, "Global gradient norm to which gradients are clipped; 1 by default.")
    share: float = setting(1.0, "Share of a preset's optimization steps to run: 0.05 is a twentieth.", checked=False)
    seeds: int = setting(3, "Runs of each network, all in one compiled program.")
    mnist: str | None = setting(None, networks.MNIST_HELP, needs=networks.MNIST)
    cifar: str | None = setting(None, networks.CIFAR_HELP, needs=networks.CIFAR)


SELECTIONS = {"tasks": "task", "cells": "cell", "lengths": "length"}  # fields of a preset's recipes, by flag
# Flags that a preset sets itself, with their defaults.
DEFAULTS = {"hidden_size": 64, "layers": 1, "batch_size": 20, "steps": 5000, "evaluate_every": 100}
RATES = {"learning_rate": 2e-3, "clip_norm": 1.0}

QUICK = Config(None, ("adding",), ("rnn", "lstm_chrono"), ("20",), None, 16, steps=400, learning_rate=0.01, seeds=2)


@dataclasses.dataclass(frozen=True)
class Item:
    """A recipe with its task and trainer; all its seeds are one program."""

    recipe: Recipe
    task: tasks.Task
    trainer: training.Trainer
    reference: training.Trainer | None = None  # with equal terms, that of an LSTM, beside which steps are timed

    @property
    def name(self) -> str:
        return f"{self.recipe.task}/{self.task.length}/{self.recipe.cell}"

    @property
    def work(self) -> int:
        """Steps of the recurrence in its whole training, the unit of progress."""
        searched = 0 if self.recipe.terms is None else rate_search.search_steps(self.recipe.steps)
        return (self.recipe.steps + searched) * self.task.sequence_length


def plan(config: Config) -> list[Item]:
    """Returns every item of a config, in the order of the table.

    Raises:
      UserError: if a flag's value cannot be run.
    """
    flags.check(config)
    if not 0 < config.share <= 1:
        raise UserError(f"--share must be above 0 and at most 1, got {config.share}")
    if config.preset is None and config.share < 1:
        raise UserError("--share applies to a preset's steps: give --preset, or --steps instead")
    if config.lengths is not None and not all(text.isdecimal() and int(text) for text in config.lengths):
        raise UserError(f"--lengths must be positive integers, got {','.join(config.lengths)!r}")
    if config.recipe is not None and (config.preset is None or ":" not in "".join(config.cells or ())):
        raise UserError("--recipe is for user-defined cells in a preset: give --preset and --cells=module:Class")
    recipes = _from_flags(config) if config.preset is None else _from_preset(config, config.preset)

    find = functools.cache(tasks.find)  # images are read once
    items = []
    for recipe in recipes:
        with flags.user_errors(f"--tasks={recipe.task}"):
            task = find(recipe.task, recipe.length, config.mnist, config.cifar)
        reference = None if recipe.terms is None else _trainer(dataclasses.replace(recipe, cell="lstm"), task, config)
        items.append(Item(recipe, task, _trainer(recipe, task, config), reference))
    return items


@functools.cache
def _trainer(recipe: Recipe, task: tasks.Task, config: Config) -> training.Trainer:
    if recipe.terms is None:
        assert recipe.hidden_size is not None
        size = recipe.hidden_size
    else:
        size = networks.hidden_size_for(recipe.terms.parameters, recipe.cell, task, recipe.layers)
    model = networks.make_model(recipe.cell, task, size, recipe.layers)
    if ":" in recipe.cell or ":" in recipe.task or config.engine != QUICK.engine:  # others are tested
        networks.probe_on_task(recipe.cell, model, task, config.estimator.engine)
    return training.Trainer(model, recipe.batch_size, recipe.optimizer, recipe.clip, config.estimator)


def _from_flags(config: Config) -> list[Recipe]:
    given = {name: value for name, value in vars(config).items() if value is not None}
    sizes = {name: given.get(name, default) for name, default in DEFAULTS.items()}
    rate, norm = (given.get(name, default) for name, default in RATES.items())
    optimizer = training.Adam(rate) if config.optimizer is None else optimizers.make(config.optimizer)
    clip = training.ClipByNorm(norm)
    return [
        Recipe(task, int(length), cell, **sizes, optimizer=optimizer, clip=clip)
        for task in config.tasks or ("adding",)
        for length in (("0",) if task in tasks.IMAGES else config.lengths or ("100",))
        for cell in config.cells or ("rnn", "lstm", "gru")
    ]


def _from_preset(config: Config, name: str) -> list[Recipe]:
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}: known are {', '.join(PRESETS)}")
    given = [flag for flag in (*DEFAULTS, *RATES, "optimizer") if getattr(config, flag) is not None]
    if given:
        raise UserError(f"--preset={name} has its own values for {', '.join(f'--{flag}' for flag in given)}")
    if config.recipe is not None:
        _check_known(name, "recipe", "cell", [config.recipe])
    recipes = PRESETS[name]
    for flag, field in SELECTIONS.items():
        if (selected := getattr(config, flag)) is not None:
            _check_known(name, flag, field, selected)
            recipes = _selected(recipes, field, selected, config.recipe)
    if not recipes:
        raise UserError(f"preset {name} has no recipe with all of --tasks, --cells, --lengths and --recipe")
    return [recipe.shortened(config.share) for recipe in recipes]


def _check_known(preset: str, flag: str, field: str, names: Sequence[str]) -> None:
    known = list(dict.fromkeys(str(getattr(recipe, field)) for recipe in PRESETS[preset]))
    if unknown := [name for name in names if name not in known and (":" not in name or flag == "recipe")]:
        raise UserError(f"--{flag}: {unknown[0]!r} is not in preset {preset}, which has {', '.join(known)}")


def _selected(recipes: Recipes, field: str, names: Sequence[str], sibling: str | None) -> Recipes:
    """Returns the recipes that have one of the names in a field.

    A user-defined name takes the place of `sibling`, if it is a cell's, or of the last name for each of the others.
    """
    others = operator.attrgetter(*(each for each in SELECTIONS.values() if each != field))
    last = {others(recipe): recipe for recipe in recipes if field != "cell" or sibling in (None, recipe.cell)}
    known = [recipe for recipe in recipes if str(getattr(recipe, field)) in names]
    own: list[dict[str, Any]] = [{field: name, "published": None} for name in names if ":" in name]
    return (*known, *(dataclasses.replace(recipe, **changes) for changes in own for recipe in last.values()))
