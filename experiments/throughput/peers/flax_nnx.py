"""Flax NNX: `nnx.RNN` over `SimpleCell`, `OptimizedLSTMCell` and `GRUCell`."""

import dataclasses
from typing import Any

import jax
from flax import nnx

from experiments.throughput.peers.contestant import Programs, jax_programs, same_function
from experiments.throughput.problem import Data, Problem
from rnn_jax import interop

CELLS: dict[str, Any] = {"rnn": nnx.SimpleCell, "lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}


@dataclasses.dataclass(frozen=True)
class FlaxNNX:
    """Batch first, its default."""

    name: str = "nnx"

    function = staticmethod(same_function)

    def prepare(self, problem: Problem, data: Data) -> Programs:
        # SimpleCell computes in float32 unless it is told; the others follow their inputs.
        options = {"dtype": data.xs.dtype} if problem.cell_name == "rnn" else {}
        shape = problem.shape
        cell = CELLS[problem.cell_name](shape.input_size, shape.hidden_size, rngs=nnx.Rngs(0), **options)
        nnx.update(cell, interop.to_flax_nnx(problem.cell, data.params))
        # As jax.jit wants it: split, so that nothing of the module is walked in Python when it is called.
        parts: Any = nnx.split(nnx.RNN(cell), nnx.Param, ...)
        graph, params, rest = parts

        def apply(params: Any, xs: jax.Array) -> jax.Array:
            outputs: Any = nnx.merge(graph, params, rest, copy=True)(xs)
            return outputs

        return jax_programs(apply, params, data, batch_first=True)


make = FlaxNNX
