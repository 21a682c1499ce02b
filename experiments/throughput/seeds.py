"""Time per seed over the number of seeds in one program: a small LSTM, forward and backward, vmapped."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.throughput import timing
from experiments.throughput.config import Config
from experiments.throughput.job import Job, Record
from experiments.throughput.peers.contestant import Contestant, jax_programs
from experiments.throughput.problem import Problem, Shape

SEEDS = (1, 2, 4, 8, 16, 32)
PROBLEM = Problem("lstm", Shape(batch=20, steps=100, input_size=32, hidden_size=32))


def jobs(config: Config, peers: Sequence[Contestant]) -> list[Job]:
    """All numbers of seeds in turn; no other library takes part."""
    del peers
    return [Job(f"lstm {PROBLEM.shape}", lambda: _compare(config))]


def _compare(config: Config) -> list[Record]:
    def apply(params: Any, xs: jax.Array) -> jax.Array:
        return rnn_jax.unroll(PROBLEM.cell, params, xs)[1]

    of_all = jax.jit(jax.vmap(PROBLEM.draw))(config.seed + jnp.arange(max(SEEDS)))
    calls = {}
    for seeds in SEEDS:
        data = jax.tree.map(lambda a, n=seeds: a[:n], of_all)
        calls[str(seeds)] = jax_programs(jax.vmap(apply), data.params, data, batch_first=False).forward_backward
    times = timing.interleave(calls, config.repeats, config.seconds)
    records = []
    for seeds in SEEDS:
        found = timing.statistics(times[str(seeds)])
        per_seed = {"median_ms_a_seed": found["median_ms"] / seeds}
        records.append({"part": "seeds", **PROBLEM.record(), "seeds": seeds, **found, **per_seed})
    return records
