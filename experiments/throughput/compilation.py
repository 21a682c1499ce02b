"""Time to compile forward and backward over T, and over layers: traced and lowered by JAX, then compiled by XLA."""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.common import timing
from experiments.throughput import part
from experiments.throughput.part import Options, Record

STEPS, LAYERS = (100, 1000, 10_000), (1, 2, 4, 8)
BATCH, SIZE = 32, 64
MAX_REPEATS = 3


def _measure(options: Options, over: str) -> list[Record]:
    sizes = [(n, 1) for n in options.lengths(*STEPS)] if over == "steps" else [(STEPS[0], n) for n in LAYERS]
    times: dict[tuple[int, int], list[tuple[float, float]]] = {each: [] for each in sizes}
    for repeat in range(min(MAX_REPEATS, options.repeats)):
        for each in timing.round_order(sizes, repeat):
            times[each].append(seconds(*each))
    records = []
    for (steps, layers), pairs in times.items():
        for stage, stage_times in zip(("lower", "compile"), zip(*pairs, strict=True), strict=True):
            record = {"over": over, "steps": steps, "layers": layers, "stage": stage, "batch": BATCH, "size": SIZE}
            records.append({**record, **timing.statistics(stage_times)})
    return records


def seconds(steps: int, layers: int) -> tuple[float, float]:
    """Returns the time to trace and lower, and the time to compile, without anything cached."""
    jax.clear_caches()
    cell = rnn_jax.Stack((rnn_jax.LSTM(SIZE, SIZE),) * layers)
    params = jax.eval_shape(cell.init, jax.random.key(0))
    xs = jax.ShapeDtypeStruct((steps, BATCH, SIZE), jnp.float32)

    def loss(params: Any, xs: jax.Array) -> jax.Array:
        return jnp.sum(rnn_jax.unroll(cell, params, xs)[1])

    gradient = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    start = time.perf_counter()
    lowered = gradient.lower(params, xs)
    middle = time.perf_counter()
    lowered.compile()
    return middle - start, time.perf_counter() - middle


COMPILATION = part.Part(
    "compilation",
    lambda options, _: {f"over {over}": functools.partial(_measure, options, over) for over in ("steps", "layers")},
    "time to compile over {over}: LSTM, B = {batch}, D = H = {size}, forward and backward",
    {"T": "steps", "layers": "layers", "{}, s": ("median_ms", 1e-3)},
    "lower: trace and lower. Caches are cleared before each compilation.",
    by="stage",
    figure=part.curves(
        "stage", ["steps", "layers"], "median_ms", "Time to compile an LSTM", "median time (s)", 1e-3, log=False
    ),
)
