"""Time per seed over the number of seeds in one program: a small LSTM, forward and backward."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from matplotlib.figure import Figure

import rnn_jax
from experiments.common import timing
from experiments.common.numbers import number
from experiments.common.run_folder import Table
from experiments.throughput import part
from experiments.throughput.part import Options, Record
from experiments.throughput.peers.contestant import jax_programs
from experiments.throughput.problem import Problem, Shape
from rnn_jax.seeds import over_seeds, place

COUNTS = (1, 2, 4, 8, 16, 32)
PROBLEM = Problem("lstm", Shape(batch=20, steps=100, input_size=32, hidden_size=32))


def _measure(options: Options) -> list[Record]:
    def apply(params: Any, xs: jax.Array) -> jax.Array:
        return rnn_jax.unroll(PROBLEM.cell, params, xs)[1]

    def spread(params: Any, xs: jax.Array) -> jax.Array:
        return over_seeds(lambda one_seed: apply(*one_seed), (params, xs))

    all_data = jax.jit(jax.vmap(PROBLEM.draw))(options.seed + jnp.arange(max(COUNTS)))
    calls = {}
    for count in COUNTS:
        data = jax.tree.map(lambda a, n=count: a[:n], all_data)
        for way, mapped, placed in (("vmap", jax.vmap(apply), data), ("over_seeds", spread, place(data))):
            programs = jax_programs(mapped, placed.params, placed, batch_first=False)
            calls[way, count] = programs.forward_backward
    records = []
    for (way, count), statistics in timing.compare(calls, options.repeats, options.seconds).items():
        per_seed = {"seeds": count, "median_ms_a_seed": statistics["median_ms"] / count}
        sizes = {**PROBLEM.record(), "way": way, "devices": jax.local_device_count()}
        records.append({**sizes, **per_seed, **statistics})
    return records


def _table(records: Sequence[Record]) -> Table:
    ratio = part.ratios(records, "way", field="median_ms_a_seed", seeds=1)
    columns = {
        "seeds": "seeds",
        "{}, ms/seed": ("median_ms_a_seed", 1),
        "{} ratio": lambda record: number(ratio(record), 3),
    }
    title = "seeds in one program: {cell} {shape}, forward and backward"
    caption = f"ratio: to one seed alone. over_seeds: as the trainer runs seeds. Devices: {records[0]['devices']}."
    return part.table(records, title, columns, caption, by="way")


def _figure(records: Sequence[Record]) -> Figure:
    labels = ("{cell} {shape}, forward and backward", "median time per seed (ms)")
    return part.curve_figure({"seeds": records}, "way", "median_ms_a_seed", *labels, log=False)


def _jobs(options: Options, _: object) -> part.Jobs:
    return {f"lstm {PROBLEM.shape}": lambda: _measure(options)}


SEEDS = part.Part("seeds", _jobs, _table, _figure)
