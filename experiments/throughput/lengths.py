"""Time over T: one LSTM layer, forward and backward, at one size, from 100 to 10,000 steps."""

import functools
from collections.abc import Sequence

from experiments.throughput import layers
from experiments.throughput.config import Config
from experiments.throughput.job import Job
from experiments.throughput.peers import ours
from experiments.throughput.peers.contestant import Contestant
from experiments.throughput.problem import Problem, Shape

STEPS = (100, 316, 1000, 3162, 10_000)
PEERS = ("torch", "linen")


def jobs(config: Config, peers: Sequence[Contestant]) -> list[Job]:
    """A comparison a length."""
    others = [peer for peer in peers if peer.name in PEERS]
    contestants = [ours.Ours(ours.DEFAULT), ours.SCAN, ours.CHECKPOINTED, *others]
    found = []
    for steps in config.lengths(*STEPS):
        problem = Problem("lstm", Shape(batch=16, steps=steps, input_size=64, hidden_size=64), config.dtype)
        run = functools.partial(layers.compare, "lengths", config, problem, contestants, ["forward_backward"])
        found.append(Job(f"lstm {problem.shape}", run))
    return found
