"""Time to compile forward and backward over T, and over layers: traced and lowered by JAX, then compiled by XLA."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.throughput import timing
from experiments.throughput.config import Config
from experiments.throughput.job import Job, Record
from experiments.throughput.peers.contestant import Contestant

STEPS, LAYERS = (100, 1000, 10_000), (1, 2, 4, 8)
BATCH, SIZE = 32, 64
REPEATS = 3  # at most


def jobs(config: Config, peers: Sequence[Contestant]) -> list[Job]:
    """Both sweeps; no other library takes part."""
    del peers
    over_steps = {steps: (steps, 1) for steps in config.lengths(*STEPS)}
    over_layers = {layers: (STEPS[0], layers) for layers in LAYERS}
    return [
        Job("over T", lambda: _measure(config, "steps", over_steps)),
        Job("over layers", lambda: _measure(config, "layers", over_layers)),
    ]


def _measure(config: Config, over: str, sizes: dict[int, tuple[int, int]]) -> list[Record]:
    times: dict[int, list[tuple[float, float]]] = {value: [] for value in sizes}
    for number in range(min(REPEATS, config.repeats)):
        for value in (int(name) for name in timing.turns([str(v) for v in sizes], number)):
            times[value].append(seconds(*sizes[value]))
    records = []
    for value, found in times.items():
        for stage, of_stage in zip(("lower", "compile"), zip(*found, strict=True), strict=True):
            steps, layers = sizes[value]
            record = {"part": "compilation", "over": over, "steps": steps, "layers": layers, "stage": stage}
            records.append({**record, "batch": BATCH, "size": SIZE, **timing.statistics(of_stage)})
    return records


def seconds(steps: int, layers: int) -> tuple[float, float]:
    """Time to trace and lower, and time to compile, with nothing kept of an earlier time."""
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
