"""Temporary memory of a gradient over T: of each engine, and of truncated backpropagation through time.

The gradient of a loss on the final state by the parameters. What is counted is what the program needs beside
its arguments, of which the inputs are the largest part: 4 T B D bytes, the same for all.
"""

import concurrent.futures
import functools
import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

import rnn_jax
from experiments.throughput.config import Config
from experiments.throughput.job import Job, Record
from experiments.throughput.peers.contestant import Contestant

STEPS = (100, 400, 1600, 6400)
BATCH, LSTM = 32, rnn_jax.LSTM(16, 64)
SEGMENT = 100  # of truncated backpropagation
LEARNING_RATE = 1e-3

TRUNCATED = f"truncated, {SEGMENT} steps"
WAYS: dict[str, tuple[rnn_jax.Cell, rnn_jax.engines.Engine]] = {
    "Scan": (LSTM, rnn_jax.Scan()),
    "Hoisted": (LSTM, rnn_jax.Hoisted()),
    "Checkpointed": (LSTM, rnn_jax.Checkpointed()),
    "Checkpointed, recursive": (LSTM, rnn_jax.Checkpointed(recursive=True)),
    "Associative, minLSTM": (rnn_jax.MinLSTM(16, 64), rnn_jax.Associative()),
    TRUNCATED: (LSTM, rnn_jax.Scan()),
}


def jobs(config: Config, peers: Sequence[Contestant]) -> list[Job]:
    """A program a way and length; no other library takes part."""
    del peers
    lengths = config.lengths(*STEPS)
    return [Job(f"{way}, T = {n}", functools.partial(_measure, way, n)) for way in WAYS for n in lengths]


def _measure(way: str, steps: int) -> list[Record]:
    cell = WAYS[way][0]
    sizes = {"batch": BATCH, "input_size": cell.input_size, "hidden_size": cell.hidden_size}
    of_arguments = [a.size * a.dtype.itemsize for a in jax.tree.leaves(arguments(way, steps))]
    counted = {
        "temporary_bytes": temporary_bytes(way, steps),
        "argument_bytes": sum(of_arguments),
        "allocator_peak_bytes": _in_a_process(way, steps) if jax.default_backend() == "gpu" else None,
    }
    return [{"part": "memory", "way": way, "cell": type(cell).__name__, "steps": steps, **sizes, **counted}]


def temporary_bytes(way: str, steps: int) -> int:
    """What the compiler has planned for, beside arguments and results."""
    analysis: Any = jax.jit(program(way)).lower(*arguments(way, steps)).compile().memory_analysis()
    return analysis.temp_size_in_bytes


def program(way: str) -> Callable[..., Any]:
    """(params, xs) -> the gradient, or after truncated backpropagation the new parameters."""
    cell, engine = WAYS[way]

    def loss(params: Any, state: Any, xs: jax.Array) -> tuple[jax.Array, Any]:
        final, _ = rnn_jax.unroll(cell, params, xs, state, engine=engine)
        return jax.tree.reduce(jnp.add, jax.tree.map(jnp.sum, final)), final

    if way != TRUNCATED:
        return lambda params, xs: jax.grad(lambda p: loss(p, None, xs)[0])(params)

    def one_segment(carry: Any, xs: jax.Array) -> Any:
        params, state = carry
        gradients, final = jax.grad(loss, has_aux=True)(params, state, xs)
        params = jax.tree.map(lambda p, g: p - LEARNING_RATE * g, params, gradients)
        return (params, final), None  # no gradient goes back through `final`: it was taken already

    def truncated(params: Any, xs: jax.Array) -> Any:
        segments = jnp.reshape(xs, (-1, SEGMENT, *xs.shape[1:]))
        return jax.lax.scan(one_segment, (params, cell.initial_state(params, (BATCH,))), segments)[0]

    return truncated


def arguments(way: str, steps: int) -> Any:
    """Shapes of (params, xs)."""
    cell, _ = WAYS[way]
    params = jax.eval_shape(cell.init, jax.random.key(0))
    return params, jax.ShapeDtypeStruct((steps, BATCH, cell.input_size), jnp.float32)


def _in_a_process(way: str, steps: int) -> int | None:
    """`allocator_peak_bytes` in a process of its own: an allocator's peak is of its whole life."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(allocator_peak_bytes, way, steps).result()


def allocator_peak_bytes(way: str, steps: int) -> int | None:
    """The most that the device's allocator held while the program ran, less its arguments; None: it does not count."""
    values = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), arguments(way, steps))
    compiled = jax.jit(program(way)).lower(*values).compile()
    before = jax.devices()[0].memory_stats()
    jax.block_until_ready(compiled(*values))
    after = jax.devices()[0].memory_stats()
    if not before or not after:
        return None
    return after["peak_bytes_in_use"] - before["bytes_in_use"]
