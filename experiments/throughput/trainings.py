"""Training in rnn_jax and in a plain PyTorch loop: data, loss, gradient, clipping by the global norm, Adam.

`training`   one optimization step of an LSTM on adding, with 1 and with 8 seeds
`recipes`    trainings of the long-dependency benchmark: all cells and seeds of a task

In rnn_jax the seeds of a cell are one program, and as many programs run in parallel as there are cores, as in
`experiments.long_dependency`. The PyTorch loop runs one cell and seed after the other, with one thread per core.
"""

import concurrent.futures
import functools
import itertools
import operator
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.common import networks, runner, timing
from experiments.common.figures import bar_panels
from experiments.common.tables import Records, digits
from experiments.throughput import part
from experiments.throughput.contestants import DEFAULT, REFERENCE
from experiments.throughput.problem import TASKS
from rnn_jax import initializers, tasks, training

HIDDEN, CLIP = 64, training.ClipByNorm(1.0)


class Setup(NamedTuple):
    """What a call trains."""

    batch: int
    optimizer: training.Adam
    seeds: tuple[int, ...]  # numbers of seeds that are compared
    steps: int  # optimization steps in a call
    timed_steps: int  # optimization steps whose time is recorded


STEP = Setup(32, training.Adam(1e-3), seeds=(1, 8), steps=10, timed_steps=1)
RECIPE = Setup(20, training.Adam(2e-3), seeds=(5,), steps=20, timed_steps=20)


def jax_losses(task: tasks.Task, trainer: training.Trainer, seeds: int, seed: int, steps: int) -> Iterator[np.ndarray]:
    """Trains all seeds in one program, in any thread, and yields their losses after every `steps` steps."""
    state = training.start(trainer, task, training.init(trainer, jax.random.split(jax.random.key(seed), seeds)))
    trainer = initializers.without_initializers(trainer)  # as in the experiments
    while True:
        state, metrics = training.run(trainer, task, state, steps)
        yield np.asarray(metrics.loss[:, -1])


def _train_all(library: str, losses: Sequence[Iterator[Any]]) -> float:
    """Trains all cells for some more steps, those of rnn_jax in parallel, and returns their mean loss."""
    if library != DEFAULT or len(losses) == 1:
        return float(np.mean([*map(next, losses)]))  # in this thread, to which PyTorch's own threads belong
    with concurrent.futures.ThreadPoolExecutor(runner.parallel_programs()) as pool:
        return float(np.mean(list(pool.map(next, losses))))


def _measure(options: part.Options, libraries: part.Contestants, case: tuple[Setup, str, Sequence[str]]) -> Records:
    setup, name, cells = case
    task = tasks.find(name, min(TASKS[name], options.longest))
    models = [networks.make_model(cell, task, HIDDEN) for cell in cells]
    trainers = [training.Trainer(model, setup.batch, setup.optimizer, CLIP) for model in models]
    trained: dict[str, Any] = {DEFAULT: jax_losses}
    if REFERENCE in libraries:
        from experiments.peers import torch_training

        trained[REFERENCE] = torch_training.losses
    calls: dict[tuple[str, int], timing.Call] = {}
    first_ms = {}
    for library, seeds in itertools.product(trained, setup.seeds):
        start = time.perf_counter()
        losses = [trained[library](task, trainer, seeds, options.seed, setup.steps) for trainer in trainers]
        calls[library, seeds] = functools.partial(_train_all, library, losses)
        calls[library, seeds]()
        first_ms[library, seeds] = (time.perf_counter() - start) * 1e3
    times = timing.interleave(calls, options.repeats, options.seconds)
    shared = {"task": name, "steps": task.length, "batch": setup.batch, "hidden_size": HIDDEN, "cells": ",".join(cells)}
    shared |= {"steps_a_call": setup.steps, "baseline": task.baseline}
    records = []
    for (library, seeds), call in calls.items():
        statistics = timing.statistics([s * setup.timed_steps / setup.steps for s in times[library, seeds]])
        sequences = len(cells) * seeds * setup.timed_steps * setup.batch
        fields = {
            "contestant": library,
            "seeds": seeds,
            "programs_at_a_time": runner.parallel_programs() if library == DEFAULT else 1,
            "median_ms_a_seed": statistics["median_ms"] / seeds,
            "first_call_ms": first_ms[library, seeds],
            "sequences_per_second": sequences / statistics["median_ms"] * 1e3,
            "loss_after": call(),
        }
        records.append({**shared, **fields, **statistics})
    return records


COLUMNS = {
    "task": "task",
    "T": "steps",
    "program": "contestant",
    "seeds": "seeds",
    "ms": ("median_ms", 1),
    "ms/seed": ("median_ms_a_seed", 1),
    "ratio": lambda r, records: digits(part.ratio(r, records, "task", "seeds", contestant=REFERENCE)),
    "sequences/s": ("sequences_per_second", 1),
    "first, s": ("first_call_ms", 1e-3),
    "loss": lambda r, _: f"{r['loss_after'] / r['baseline']:.2f}",
}
CAPTION = (
    " of all cells and seeds. ratio: to torch's time. first: first call, with initialisation and compilation. loss: "
    "afterwards, mean, over the baseline's. rnn_jax: {programs_at_a_time} cells in parallel; torch: one cell and seed "
    "after the other."
)
TRAINING = part.Part(
    lambda _: {"adding": (STEP, "adding", ("lstm",))},
    _measure,
    "an optimization step: {cells}, B = {batch}, H = {hidden_size}",
    COLUMNS,
    "ms: one step" + CAPTION,
)
RECIPES = part.Part(
    lambda options: {name: (RECIPE, name, options.cells) for name in TASKS if name in options.tasks},
    _measure,
    "trainings: {cells}, B = {batch}, H = {hidden_size}",
    COLUMNS,
    "ms: {steps_a_call} steps" + CAPTION,
    figure=lambda records: bar_panels(
        records,
        lambda _: ("", "training sequences (1/s)"),
        "{task}\nT = {steps}",
        "contestant",
        operator.itemgetter("sequences_per_second"),
        "Trainings of the long-dependency benchmark: {cells}, {seeds} seeds each".format_map(records[0]),
    ),
    findings=lambda records: part.finding(f"trainings, rnn_jax against {REFERENCE}", records, [REFERENCE], "task"),
)
