"""Flax linen: `nn.RNN` over `SimpleCell`, `OptimizedLSTMCell` and `GRUCell`."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax

from experiments.throughput.peers.contestant import Programs, jax_programs, same_function
from experiments.throughput.problem import Data, Problem
from rnn_jax import interop

CELLS = {"rnn": nn.SimpleCell, "lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}


@dataclasses.dataclass(frozen=True)
class FlaxLinen:
    """Batch first, its default."""

    name: str = "linen"

    function = staticmethod(same_function)

    def prepare(self, problem: Problem, data: Data) -> Programs:
        module = nn.RNN(CELLS[problem.cell_name](problem.shape.hidden_size))

        def apply(params: Any, xs: jax.Array) -> jax.Array:
            outputs: Any = module.apply({"params": {"cell": params}}, xs)
            return outputs

        return jax_programs(apply, interop.to_flax_linen(problem.cell, data.params), data, batch_first=True)


make = FlaxLinen
