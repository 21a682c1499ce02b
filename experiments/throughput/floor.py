"""The floor: the matrix products of a layer's forward and backward pass alone, as a share of the time of all of it.

    a step:        h_{t-1} W_h + x_t W_i;      backward:  dz_t W_h^T
    after it:      dW_h = sum h_{t-1}^T dz_t,  dW_i = sum x_t^T dz_t,  dx = dz W_i^T, one large product each

with dz the gradient by the gates' pre-activations [B, G], G = H, 3 H, 4 H for RNN, GRU, LSTM; no gate, nothing kept.
Who is faster than that has arranged the products in another way, as x_t W_i of all steps in one.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from experiments.throughput import timing
from experiments.throughput.config import Config
from experiments.throughput.job import Job, Record
from experiments.throughput.peers import ours
from experiments.throughput.peers.contestant import Contestant
from experiments.throughput.problem import Problem, Shape

FLOOR = "floor"


def jobs(config: Config, peers: Sequence[Contestant]) -> list[Job]:
    """A comparison a cell and shape, with our default only."""
    del peers
    problems = [Problem(c, shape) for shape in config.problem_shapes() for c in config.cells]
    return [Job(f"{p.cell_name} {p.shape}", functools.partial(_compare, config, p)) for p in problems]


def _compare(config: Config, problem: Problem) -> list[Record]:
    data = problem.draw(config.seed)
    gates = data.params.w_h.shape[1]
    key_h, key_z = jax.random.split(jax.random.key(config.seed))
    steps, batch = problem.shape.steps, problem.shape.batch
    hs = jax.random.normal(key_h, (steps, batch, problem.shape.hidden_size))
    dzs = jax.random.normal(key_z, (steps, batch, gates))
    compiled = jax.jit(products)
    calls = {
        ours.DEFAULT: ours.Ours(ours.DEFAULT).prepare(problem, data).forward_backward,
        FLOOR: lambda: jax.block_until_ready(compiled(data.params.w_i, data.params.w_h, data.xs, hs, dzs)),
    }
    times = timing.interleave(calls, config.repeats, config.seconds)
    records = []
    for name, seconds in times.items():
        found = timing.statistics(seconds)
        giga = flops(problem.shape, gates) / found["median_ms"] / 1e6
        record = {"part": "floor", **problem.record(), "contestant": name, "gigaflops_a_second": giga}
        records.append({**record, **found})
    return records


def products(w_i: jax.Array, w_h: jax.Array, xs: jax.Array, hs: jax.Array, dzs: jax.Array) -> Any:
    """The products of xs [T, B, D] with given hs [T, B, H] and dzs [T, B, G]; the results mean nothing.

    Each loop carries one block that the next product reads, so that no step can start before the last has ended.
    """
    hidden = w_h.shape[0]

    def forward(h: jax.Array, x: jax.Array) -> tuple[jax.Array, None]:
        z = jax.lax.optimization_barrier(h @ w_h + x @ w_i)  # all of it, though the next step reads H columns
        return z[:, :hidden], None

    def backward(dz: jax.Array, _: None) -> tuple[jax.Array, None]:
        return jax.lax.dynamic_update_slice(dz, dz @ w_h.T, (0, 0)), None

    h, _ = jax.lax.scan(forward, hs[0], xs)
    dz, _ = jax.lax.scan(backward, dzs[0], length=len(xs))
    dw_h, dw_i = jnp.einsum("tbh,tbg->hg", hs, dzs), jnp.einsum("tbd,tbg->dg", xs, dzs)
    return h, dz, dw_h, dw_i, dzs @ w_i.T


def flops(shape: Shape, gates: int) -> int:
    """Floating-point operations of `products`, an addition and a multiplication for each term."""
    # Forward, by the inputs (backward: the states), by the weights: each takes as many.
    return 3 * 2 * shape.steps * shape.batch * gates * (shape.hidden_size + shape.input_size)
