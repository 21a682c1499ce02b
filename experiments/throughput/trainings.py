"""Training in rnn_jax and in a plain PyTorch loop: data, loss, gradient, clipping by the global norm, Adam.

`training`   one optimization step of an LSTM on adding, with 1 and with 8 seeds
`recipes`    trainings of the long-dependency benchmark: all cells and seeds of a task

In rnn_jax the seeds of a cell are one program, and as many programs run in parallel as there are cores, as in
`experiments.long_dependency`. The PyTorch loop runs one cell and seed after the other, with one thread per core.
"""

import concurrent.futures
import dataclasses
import functools
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.common import networks, runner, timing
from experiments.common.figures import grouped_bars
from experiments.throughput import part
from experiments.throughput.part import Options, Record
from experiments.throughput.peers import DEFAULT, REFERENCE, Contestant
from experiments.throughput.problem import PRECISION, TASKS
from rnn_jax import initializers, plotting, tasks, training

HIDDEN, CLIP = 64, training.ClipByNorm(1.0)


@dataclasses.dataclass(frozen=True)
class Setup:
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
        with jax.default_matmul_precision(PRECISION):  # a new thread starts with JAX's default
            state, metrics = training.run(trainer, task, state, steps)
        yield np.asarray(metrics.loss[:, -1])


def torch_losses(
    task: tasks.Task, trainer: training.Trainer, seeds: int, seed: int, steps: int
) -> Iterator[tuple[float, ...]]:
    """Does the same in PyTorch, one seed after the other."""
    from experiments.throughput.peers import pytorch  # only if torch is installed

    return zip(*(pytorch.losses(pytorch.device(), seed + n, task, trainer, steps) for n in range(seeds)), strict=True)


def _train_all(library: str, losses: Sequence[Iterator[Any]]) -> float:
    """Trains all cells for some more steps, those of rnn_jax in parallel, and returns their mean loss."""
    if library != DEFAULT.name or len(losses) == 1:
        return float(np.mean([*map(next, losses)]))  # in this thread, to which PyTorch's own threads belong
    with concurrent.futures.ThreadPoolExecutor(runner.parallel_programs()) as pool:
        return float(np.mean(list(pool.map(next, losses))))


def _measure(
    options: Options, peers: Sequence[Contestant], setup: Setup, name: str, cells: Sequence[str]
) -> list[Record]:
    task = tasks.find(name, min(TASKS[name], options.longest))
    models = [networks.make_model(cell, task, HIDDEN) for cell in cells]
    trainers = [training.Trainer(model, setup.batch, setup.optimizer, CLIP) for model in models]
    makers: dict[str, Any] = {DEFAULT.name: jax_losses}
    makers |= {peer.name: torch_losses for peer in peers if peer.name == REFERENCE}
    calls: dict[tuple[str, int], timing.Call] = {}
    first_ms = {}
    for key in [(library, seeds) for library in makers for seeds in setup.seeds]:
        start = time.perf_counter()
        losses = [makers[key[0]](task, trainer, key[1], options.seed, setup.steps) for trainer in trainers]
        calls[key] = functools.partial(_train_all, key[0], losses)
        calls[key]()
        first_ms[key] = (time.perf_counter() - start) * 1e3
    times = timing.interleave(calls, options.repeats, options.seconds)
    records = []
    for (library, seeds), call in calls.items():
        share = setup.timed_steps / setup.steps
        statistics = timing.statistics([seconds * share for seconds in times[library, seeds]])
        sequences = len(cells) * seeds * setup.timed_steps * setup.batch
        programs = runner.parallel_programs() if library == DEFAULT.name else 1
        sizes = {"batch": setup.batch, "hidden_size": HIDDEN, "cells": ",".join(cells), "seeds": seeds}
        record = {"task": name, "steps": task.length, **sizes, "steps_a_call": setup.steps}
        record |= {"programs_at_a_time": programs, "contestant": library, **statistics}
        record |= {"median_ms_a_seed": statistics["median_ms"] / seeds, "first_call_ms": first_ms[library, seeds]}
        record |= {"sequences_per_second": sequences / statistics["median_ms"] * 1e3}
        records.append(record | {"baseline": task.baseline, "loss_after": call()})
    return records


def _figure(records: Sequence[Record]) -> Figure:
    figure = plotting.figure((7.5, 4.2))
    axis, names = figure.subplots(), part.values(records, "contestant")
    groups = dict.fromkeys(f"{r['task']}\nT = {r['steps']}" for r in records)
    bars = {name: [r["sequences_per_second"] for r in part.select(records, contestant=name)] for name in names}
    grouped_bars(axis, list(groups), bars)
    axis.set(ylabel="training sequences (1/s)")
    axis.legend(frameon=False)
    figure.suptitle("Trainings of the long-dependency benchmark: {cells}, {seeds} seeds each".format(**records[0]))
    return figure


COLUMNS = {
    "task": "task",
    "T": "steps",
    "program": "contestant",
    "seeds": "seeds",
    "ms": ("median_ms", 1),
    "ms/seed": ("median_ms_a_seed", 1),
    "ratio": lambda r, records: part.digits(part.ratio(r, records, "task", "seeds", contestant=REFERENCE)),
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
    "training",
    lambda options, peers: {"adding": lambda: _measure(options, peers, STEP, "adding", ["lstm"])},
    "an optimization step: {cells}, B = {batch}, H = {hidden_size}",
    COLUMNS,
    "ms: one step" + CAPTION,
)
RECIPES = part.Part(
    "recipes",
    lambda options, peers: {
        name: functools.partial(_measure, options, peers, RECIPE, name, options.cells)
        for name in TASKS
        if name in options.tasks
    },
    "trainings: {cells}, B = {batch}, H = {hidden_size}",
    COLUMNS,
    "ms: {steps_a_call} steps" + CAPTION,
    figure=_figure,
    findings=lambda records: part.finding(f"trainings, rnn_jax against {REFERENCE}", records, [REFERENCE], "task"),
)
