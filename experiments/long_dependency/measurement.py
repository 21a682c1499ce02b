"""Trains all seeds of one item, with looks at the test set on the way."""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from experiments import side_by_side
from experiments.long_dependency.config import Item
from experiments.long_dependency.result import Result
from rnn_jax import initializers, tasks, training

TEST_BATCH = 256
LONGEST_PIECE = 50  # optimization steps


class Outcome(NamedTuple):
    """All that an item gave."""

    result: Result
    history: training.StepMetrics  # of NumPy arrays, [seeds, steps]


def measure(
    item: Item,
    seeds: int,
    seed: int,
    standing: Callable[[Result], None],
    advance: Callable[[int], None],
    stop: threading.Event,
) -> Outcome | None:
    """Trains an item.

    Args:
      item: what to train.
      seeds: runs of it.
      seed: from which every random number follows; items do not depend on what else is run.
      standing: called with what is known after every look at the test set.
      advance: called with the steps of the recurrence that were just done.
      stop: once set, the item ends within `LONGEST_PIECE` steps.

    Returns:
      The outcome; None where it was stopped.
    """
    recipe, task = item.recipe, item.task
    start = time.perf_counter()
    key_seeds, key_test = jax.random.split(jax.random.key(seed))
    state = side_by_side.begin(item.trainer, jax.random.split(key_seeds, seeds))
    trainer = initializers.without_initializers(item.trainer)  # beginnings of a cell share its compiled programs
    result = dataclasses.replace(
        Result.waiting(item, seeds), parameters=sum(leaf[0].size for leaf in jax.tree.leaves(state.params))
    )

    def look(last: bool) -> dict[str, np.ndarray]:
        """The whole test set where a seed may have solved the task or all is over, else one batch of it."""
        found = training.evaluate(trainer.model, task, state.params, key_test, TEST_BATCH, batches=1)
        new = [now and step is None for now, step in zip(_solved(task, found), result.solved_at, strict=True)]
        whole = last or any(new)
        return training.evaluate(trainer.model, task, state.params, key_test, TEST_BATCH) if whole else found

    pieces: list[training.StepMetrics] = []
    speeds: list[float] = []
    done = 0
    while True:
        if stop.is_set():
            return None
        to_look = recipe.evaluate_every - done % recipe.evaluate_every
        steps = min(_piece(recipe.evaluate_every), to_look, recipe.steps - done)
        began = time.perf_counter()
        state, metrics = training.run(trainer, task, state, steps)
        pieces.append(jax.tree.map(np.asarray, metrics))
        speeds.append(steps * recipe.batch_size * seeds / (time.perf_counter() - began))
        done += steps
        advance(steps * task.sequence_length)
        lost = np.asarray(state.diverged)
        last = done == recipe.steps or bool(lost.all())
        if steps < to_look and not last:
            continue
        result = dataclasses.replace(
            _looked(task, result, done, look(last)),
            diverged=[training.divergence(training.join(pieces), n) if lost[n] else None for n in range(seeds)],
            seconds=time.perf_counter() - start,
            sequences_per_second=float(np.median(speeds[1:] or speeds)),
        )
        over = all(step is not None or gone for step, gone in zip(result.solved_at, lost, strict=True))
        if last or (recipe.until_solved and over):
            break
        standing(result)
    result = dataclasses.replace(result, finished=True)
    standing(result)
    return Outcome(result, training.join(pieces))


def _solved(task: tasks.Task, found: dict[str, np.ndarray]) -> list[bool]:
    """Whether each seed meets the task's criterion."""
    seeds = range(len(found["loss"]))
    return [bool(task.solved({metric: float(values[seed]) for metric, values in found.items()})) for seed in seeds]


def _looked(task: tasks.Task, result: Result, step: int, found: dict[str, np.ndarray]) -> Result:
    """The result with one look more at the test set."""
    none: list[list[float]] = [[] for _ in range(result.seeds)]
    curves = {
        metric: [[*curve, float(v)] for curve, v in zip(result.curves.get(metric, none), values, strict=True)]
        for metric, values in found.items()
    }
    solved = [[*looks, now] for looks, now in zip(result.solved, _solved(task, found), strict=True)]
    return dataclasses.replace(result, steps=[*result.steps, step], curves=curves, solved=solved)


def _piece(evaluate_every: int) -> int:
    """Steps of one call: few, as an interrupt waits for its end; of one number, as each other is compiled anew."""
    return max(n for n in range(1, LONGEST_PIECE + 1) if evaluate_every % n == 0)
