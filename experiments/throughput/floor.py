"""The floor: time of the matrix products of a layer's forward and backward pass alone.

    a step:        h_{t-1} W_h + x_t W_i;      backward:  dz_t W_h^T
    after it:      dW_h = sum h_{t-1}^T dz_t,  dW_i = sum x_t^T dz_t,  dx = dz W_i^T, one large product each

with dz the gradient of the gates' pre-activations [B, G], G = H, 3 H, 4 H for RNN, GRU, LSTM; no gates, nothing kept.
A faster program arranges the products differently, as x_t W_i of all steps in one.
"""

from typing import Any

import jax
import jax.numpy as jnp

from experiments.common import timing
from experiments.common.tables import Records
from experiments.throughput import part
from experiments.throughput.contestants import DEFAULT, unroll_programs
from experiments.throughput.problem import Problem

NAME = "floor"


def _measure(options: part.Options, _: part.Contestants, problem: Problem) -> Records:
    data = problem.draw(options.seed)
    gates = data.params.w_h.shape[1]
    hs = data.loss_weights  # any numbers will do
    dzs = jnp.tile(hs, gates // problem.hidden_size)
    compiled = jax.jit(products)
    calls = {
        DEFAULT: unroll_programs(problem.cell, data).forward_backward,
        NAME: lambda: jax.block_until_ready(compiled(data.params.w_i, data.params.w_h, data.xs, hs, dzs)),
    }
    times, giga = timing.compare(calls, options.repeats, options.seconds), flops(problem, gates) / 1e9
    return [
        {**problem.record(), "contestant": n, "gigaflops_a_second": 1e3 * giga / each["median_ms"], **each}
        for n, each in times.items()
    ]


def products(w_i: jax.Array, w_h: jax.Array, xs: jax.Array, hs: jax.Array, dzs: jax.Array) -> Any:
    """Computes the products of xs [T, B, D] with given hs [T, B, H] and dzs [T, B, G]; the results mean nothing.

    Each loop carries one block that the next product reads, so that no step can start before the previous one has
    ended.
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


def flops(problem: Problem, gates: int) -> int:
    """Returns the floating-point operations of `products`: an addition and a multiplication for each term."""
    # Forward, backward to inputs (or states), backward to weights: each takes as many.
    return 3 * 2 * problem.steps * problem.batch * gates * (problem.hidden_size + problem.input_size)


FLOOR = part.Part(
    part.Options.problems,
    _measure,
    "the floor: the matrix products of forward and backward alone",
    {
        "cell": "cell",
        "BxTxDxH": "shape",
        "{}, ms": ("median_ms", 1),
        "GFLOP/s {}": ("gigaflops_a_second", 1),
        "share, %": lambda r, records: f"{100 * part.ratio(r, records, 'cell', 'shape', contestant=DEFAULT):.0f}",
    },
    f"share: of {DEFAULT}'s time.",
    by="contestant",
)
