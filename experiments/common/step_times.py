"""The time of an optimization step beside that of a reference network, in the same seconds of the same machine."""

import jax
import numpy as np

from experiments.common import timing
from experiments.common.runner import init_state
from rnn_jax import tasks, training

ROUNDS = 3


def ratio(trainer: training.Trainer, reference: training.Trainer, task: tasks.Task, seeds: int, steps: int) -> float:
    """Returns the time of a training step over that of the reference, the median over interleaved rounds.

    Args:
      trainer: trainer of the network.
      reference: trainer of the other network.
      task: task to train on.
      seeds: number of runs in each program.
      steps: optimization steps of one call; a number that the training uses needs no new program.
    """
    if trainer == reference:
        return 1.0

    def call(each: training.Trainer) -> timing.Call:
        state = training.start(each, task, init_state(each, jax.random.split(jax.random.key(0), seeds)))

        def run() -> None:
            nonlocal state
            state, metrics = training.run(each, task, state, steps)
            jax.block_until_ready(metrics)

        return run

    times = timing.interleave({"network": call(trainer), "reference": call(reference)}, ROUNDS, seconds=0)
    return float(np.median(np.array(times["network"]) / np.array(times["reference"])))
