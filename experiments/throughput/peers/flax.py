"""Flax: `RNN` over `SimpleCell`, `OptimizedLSTMCell` and `GRUCell`, of linen and of NNX, batch first as by default."""

from typing import Any

import jax
from flax import linen, nnx

from experiments.throughput.peers import Contestant, Programs, jax_programs
from experiments.throughput.problem import Data, Problem
from rnn_jax import interop

CELLS = {"rnn": "SimpleCell", "lstm": "OptimizedLSTMCell", "gru": "GRUCell"}


def _linen(problem: Problem, data: Data) -> Programs:
    module: Any = linen.RNN(getattr(linen, CELLS[problem.cell_name])(problem.shape.hidden_size))
    params = {"params": {"cell": interop.to_flax_linen(problem.cell, data.params)}}
    return jax_programs(module.apply, params, data, batch_first=True)


def _nnx(problem: Problem, data: Data) -> Programs:
    # SimpleCell computes in float32 without a dtype; the others follow their inputs.
    options = {"dtype": data.xs.dtype} if problem.cell_name == "rnn" else {}
    shape = problem.shape
    cell = getattr(nnx, CELLS[problem.cell_name])(shape.input_size, shape.hidden_size, rngs=nnx.Rngs(0), **options)
    nnx.update(cell, interop.to_flax_nnx(problem.cell, data.params))
    # Split, so that a call of the compiled function walks over nothing in Python.
    split: Any = nnx.split(nnx.RNN(cell), nnx.Param, ...)
    graph, params, rest = split

    def apply(params: Any, xs: jax.Array) -> Any:
        return nnx.merge(graph, params, rest, copy=True)(xs)

    return jax_programs(apply, params, data, batch_first=True)


def make(name: str) -> Contestant:
    """Returns linen or NNX."""
    return Contestant(name, {"linen": _linen, "nnx": _nnx}[name])
