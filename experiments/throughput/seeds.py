"""Time per seed over the number of seeds in one program: a small LSTM, forward and backward."""

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
from rnn_jax.seeds import over_seeds, place

SEEDS = (1, 2, 4, 8, 16, 32)
PROBLEM = Problem("lstm", Shape(batch=20, steps=100, input_size=32, hidden_size=32))


def jobs(config: Config, peers: Sequence[Contestant]) -> list[Job]:
    """All numbers of seeds in turn; no other library takes part."""
    del peers
    return [Job(f"lstm {PROBLEM.shape}", lambda: _compare(config))]


def _compare(config: Config) -> list[Record]:
    def apply(params: Any, xs: jax.Array) -> jax.Array:
        return rnn_jax.unroll(PROBLEM.cell, params, xs)[1]

    def spread(params: Any, xs: jax.Array) -> jax.Array:
        return over_seeds(lambda of_seed: apply(*of_seed), (params, xs))

    of_all = jax.jit(jax.vmap(PROBLEM.draw))(config.seed + jnp.arange(max(SEEDS)))
    calls = {}
    for seeds in SEEDS:
        data = jax.tree.map(lambda a, n=seeds: a[:n], of_all)
        for way, mapped, where in (("vmap", jax.vmap(apply), data), ("over_seeds", spread, place(data))):
            programs = jax_programs(mapped, where.params, where, batch_first=False)
            calls[f"{way}, {seeds}"] = programs.forward_backward
    times = timing.interleave(calls, config.repeats, config.seconds)
    records = []
    for name, seconds in times.items():
        way, number = name.split(", ")
        found = timing.statistics(seconds)
        per_seed = {"seeds": int(number), "median_ms_a_seed": found["median_ms"] / int(number)}
        sizes = {"way": way, "devices": jax.local_device_count(), **per_seed}
        records.append({"part": "seeds", **PROBLEM.record(), **sizes, **found})
    return records
