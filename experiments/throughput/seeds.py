"""Time per seed over the number of seeds in one program: a small LSTM, forward and backward."""

from typing import Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.common import figures, timing
from experiments.common.tables import Records, digits
from experiments.peers.programs import jax_programs
from experiments.throughput import part
from experiments.throughput.problem import Problem
from rnn_jax.seeds import over_seeds, place

COUNTS = (1, 2, 4, 8, 16, 32)
PROBLEM = Problem("lstm", batch=20, steps=100, input_size=32, hidden_size=32)


def _measure(options: part.Options, _: part.Contestants, problem: Problem) -> Records:
    def apply(params: Any, xs: jax.Array) -> jax.Array:
        return rnn_jax.unroll(problem.cell, params, xs)[1]

    def spread(params: Any, xs: jax.Array) -> jax.Array:
        return over_seeds(lambda one_seed: apply(*one_seed), (params, xs))

    all_data = jax.jit(jax.vmap(problem.draw))(options.seed + jnp.arange(max(COUNTS)))
    calls = {}
    for count in COUNTS:
        data = jax.tree.map(lambda a, n=count: a[:n], all_data)
        for way, mapped, placed in (("vmap", jax.vmap(apply), data), ("over_seeds", spread, place(data))):
            calls[way, count] = jax_programs(mapped, placed.params, placed).forward_backward
    shared = {**problem.record(), "devices": jax.local_device_count()}
    return [
        {**shared, "way": way, "seeds": count, "median_ms_a_seed": each["median_ms"] / count, **each}
        for (way, count), each in timing.compare(calls, options.repeats, options.seconds).items()
    ]


SEEDS = part.Part(
    lambda _: {str(PROBLEM): PROBLEM},
    _measure,
    "seeds in one program: {cell} {shape}, forward and backward",
    {
        "seeds": "seeds",
        "{}, ms/seed": ("median_ms_a_seed", 1),
        "{} ratio": lambda r, records: digits(part.ratio(r, records, "way", field="median_ms_a_seed", seeds=1)),
    },
    "ratio: to one seed alone. over_seeds: as the trainer runs seeds. Devices: {devices}.",
    by="way",
    figure=figures.curves(
        "way", ["seeds"], "median_ms_a_seed", "{cell} {shape}", "median time per seed (ms)", log=False
    ),
)
