"""The long-dependency benchmark's trainings: every cell and seed of a task, beside a plain PyTorch loop.

Ours as `experiments.long_dependency` trains them: the seeds of a cell are one program, and as many programs run side by
side as there are cores. PyTorch's loop (`peers.pytorch_training`) runs one cell and seed after the other, with a thread
a core. What neither does here are the benchmark's looks at the test set.
"""

import concurrent.futures
import dataclasses
import functools
import time
from collections.abc import Callable, Sequence

import numpy as np

from experiments.common import networks, parallel
from experiments.throughput import timing
from experiments.throughput.config import Config
from experiments.throughput.job import Job, Record
from experiments.throughput.peers import REFERENCE, ours
from experiments.throughput.peers.contestant import Contestant
from experiments.throughput.training import loops, program
from rnn_jax import tasks, training


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is trained, with every cell.

    Args:
      task: its name in `rnn_jax.tasks`.
      length: T of a synthetic task; of images, what their number of pixels makes it, this is not read.
    """

    task: str
    length: int


RECIPES = (Recipe("adding", 200), Recipe("copying", 100), Recipe("temporal_order_6a", 100), Recipe("digits", 0))
HIDDEN, BATCH = 64, 20
OPTIMIZER, CLIP = training.Adam(2e-3), training.ClipByNorm(1.0)
SEEDS = 5
STEPS = 20  # a call makes so many


def jobs(config: Config, peers: Sequence[Contestant]) -> list[Job]:
    """A comparison a task, ours and PyTorch's in turn."""
    torch = [peer for peer in peers if peer.name == REFERENCE]
    return [
        Job(recipe.task, functools.partial(_compare, config, recipe, torch))
        for recipe in RECIPES
        if recipe.task in config.tasks
    ]


def _compare(config: Config, recipe: Recipe, peers: Sequence[Contestant]) -> list[Record]:
    task = tasks.find(recipe.task, min(recipe.length, config.longest))
    trainers = [
        training.Trainer(networks.make_model(cell, task, HIDDEN), BATCH, OPTIMIZER, CLIP) for cell in config.cells
    ]
    # How each makes what trains a cell, and how it runs those of all cells.
    ways: dict[str, tuple[Callable[..., timing.Call], Callable[..., float]]] = {ours.DEFAULT: (program, _side_by_side)}
    ways |= {peer.name: (functools.partial(loops, peer), _in_turn) for peer in peers}
    calls: dict[str, timing.Call] = {}
    first: dict[str, float] = {}
    for name, (make, run) in ways.items():
        start = time.perf_counter()
        of_cells = [make(task, trainer, SEEDS, config.seed, STEPS) for trainer in trainers]
        calls[name] = functools.partial(run, of_cells)
        calls[name]()
        first[name] = time.perf_counter() - start
    times = timing.interleave(calls, config.repeats, config.seconds)
    records = []
    for name, call in calls.items():
        found = timing.statistics(times[name])
        sequences = len(config.cells) * SEEDS * STEPS * BATCH
        records.append(
            {
                "part": "recipes",
                "task": recipe.task,
                "steps": task.length,
                "batch": BATCH,
                "hidden_size": HIDDEN,
                "cells": ",".join(config.cells),
                "seeds": SEEDS,
                "steps_a_call": STEPS,
                "programs_at_a_time": parallel.programs_at_a_time() if name == ours.DEFAULT else 1,
                "contestant": name,
                **found,
                "first_call_ms": first[name] * 1e3,
                "sequences_per_second": sequences / found["median_ms"] * 1e3,
                "baseline": task.baseline,
                "loss_after": call(),
            }
        )
    return records


def _side_by_side(of_cells: Sequence[timing.Call]) -> float:
    """Makes every call, in threads; the mean of the losses that they return."""
    with concurrent.futures.ThreadPoolExecutor(parallel.programs_at_a_time()) as pool:
        return float(np.mean(list(pool.map(lambda call: call(), of_cells))))


def _in_turn(of_cells: Sequence[timing.Call]) -> float:
    """Makes every call, in this thread, as PyTorch's threads belong to the one that they were made for."""
    return float(np.mean([call() for call in of_cells]))
