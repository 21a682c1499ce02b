"""A whole optimization step: data drawn, loss, gradient, clipping by the global norm, Adam; an LSTM on adding.

Ours runs all seeds in one program; PyTorch's loop (`peers.pytorch_training`) runs them one after the other.
"""

from collections.abc import Sequence

import jax
import numpy as np

from experiments.throughput import timing
from experiments.throughput.config import Config
from experiments.throughput.job import Job, Record
from experiments.throughput.peers import REFERENCE, ours
from experiments.throughput.peers.contestant import Contestant
from experiments.throughput.problem import PRECISION
from rnn_jax import LSTM, Adding, ReadoutModel, initializers, tasks, training

LENGTH, HIDDEN, BATCH = 200, 64, 32
OPTIMIZER, CLIP = training.Adam(1e-3), training.ClipByNorm(1.0)
SEEDS = (1, 8)
STEPS = 10  # a call makes so many


def jobs(config: Config, peers: Sequence[Contestant]) -> list[Job]:
    """All numbers of seeds, ours and PyTorch's, in turn."""
    return [Job("adding", lambda: _compare(config, [peer for peer in peers if peer.name == REFERENCE]))]


def _compare(config: Config, peers: Sequence[Contestant]) -> list[Record]:
    task = Adding(min(LENGTH, config.longest))
    trainer = training.Trainer(ReadoutModel(LSTM(task.input_size, HIDDEN), 1), BATCH, OPTIMIZER, CLIP)
    calls: dict[tuple[str, int], timing.Call] = {
        (ours.DEFAULT, n): program(task, trainer, n, config.seed, STEPS) for n in SEEDS
    }
    for peer in peers:
        calls |= {(peer.name, n): loops(peer, task, trainer, n, config.seed, STEPS) for n in SEEDS}
    names = {f"{name}, {seeds}": (name, seeds) for name, seeds in calls}
    times = timing.interleave({n: calls[key] for n, key in names.items()}, config.repeats, config.seconds)
    records = []
    for n, (name, seeds) in names.items():
        per_step = timing.statistics([seconds / STEPS for seconds in times[n]])
        sizes = {"steps": task.length, "batch": BATCH, "hidden_size": HIDDEN, "steps_a_call": STEPS}
        record = {"part": "training", "task": "adding", **sizes, "contestant": name, "seeds": seeds}
        of_seed = {"median_ms_a_seed": per_step["median_ms"] / seeds}
        # That both learn: adding's baseline, the loss of a network that learns nothing, is 1/6.
        records.append({**record, **per_step, **of_seed, "loss_after": float(np.mean(calls[name, seeds]()))})
    return records


def program(task: tasks.Task, trainer: training.Trainer, seeds: int, seed: int, steps: int) -> timing.Call:
    """A call, in whatever thread, that trains all seeds for `steps` more steps and returns their last losses [seeds].

    Once called, it is compiled.
    """
    state = training.start(trainer, task, training.init(trainer, jax.random.split(jax.random.key(seed), seeds)))
    trainer = initializers.without_initializers(trainer)  # as the experiments have it

    def run() -> np.ndarray:
        nonlocal state
        with jax.default_matmul_precision(PRECISION):  # a new thread begins with JAX's own
            state, metrics = training.run(trainer, task, state, steps)
        return np.asarray(metrics.loss[:, -1])

    return run


def loops(
    peer: Contestant, task: tasks.Task, trainer: training.Trainer, seeds: int, seed: int, steps: int
) -> timing.Call:
    """The same in PyTorch, one seed after the other."""
    from experiments.throughput.peers import pytorch, pytorch_training  # only where torch is

    assert isinstance(peer, pytorch.PyTorch)
    found = [pytorch_training.loop(peer.device, seed + n, task, trainer, steps) for n in range(seeds)]

    def run() -> list[float]:
        return [loop() for loop in found]

    return run
