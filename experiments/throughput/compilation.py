"""Time to compile forward and backward over T, and over layers: traced and lowered by JAX, then compiled by XLA."""

import collections
import time
from typing import Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.common import figures, timing
from experiments.common.tables import Records
from experiments.throughput import part

STEPS, LAYERS = (100, 1000, 10_000), (1, 2, 4, 8)
BATCH, SIZE = 32, 64
MAX_REPEATS = 3


def _measure(options: part.Options, _: part.Contestants, over: str) -> Records:
    sizes = [(n, 1) for n in options.lengths(STEPS)] if over == "steps" else [(STEPS[0], n) for n in LAYERS]
    times: dict[tuple[int, int, str], list[float]] = collections.defaultdict(list)
    for repeat in range(min(MAX_REPEATS, options.repeats)):
        for steps, layers in timing.round_order(sizes, repeat):
            for stage, duration in seconds(steps, layers).items():
                times[steps, layers, stage].append(duration)
    shared = {"over": over, "batch": BATCH, "size": SIZE}
    return [
        {**shared, "steps": steps, "layers": layers, "stage": stage, **timing.statistics(each)}
        for (steps, layers, stage), each in times.items()
    ]


def seconds(steps: int, layers: int) -> dict[str, float]:
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
    return {"lower": middle - start, "compile": time.perf_counter() - middle}


COMPILATION = part.Part(
    lambda _: {"over T": "steps", "over layers": "layers"},
    _measure,
    "time to compile over {over}: LSTM, B = {batch}, D = H = {size}, forward and backward",
    {"T": "steps", "layers": "layers", "{}, s": ("median_ms", 1e-3)},
    "lower: trace and lower. Caches are cleared before each compilation.",
    by="stage",
    figure=figures.curves(
        "stage", ["steps", "layers"], "median_ms", "Time to compile an LSTM", "median time (s)", 1e-3, log=False
    ),
)
