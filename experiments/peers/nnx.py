"""Flax NNX: `RNN` over `SimpleCell`, `OptimizedLSTMCell` and `GRUCell`, batch first as by default."""

from typing import Any

import jax
from flax import nnx

from experiments import peers
from experiments.peers.programs import Data, Programs, jax_programs
from rnn_jax import Cell, cells, interop

CELLS: dict[type[Cell], Any] = {
    cells.VanillaRNN: nnx.SimpleCell,
    cells.LSTM: nnx.OptimizedLSTMCell,
    cells.GRU: nnx.GRUCell,
}


def programs(cell: Cell, data: Data) -> Programs:
    """Returns the layer of a cell with the parameters in `data`."""
    # SimpleCell computes in float32 without a dtype; the others follow their inputs.
    options = {"dtype": data.xs.dtype} if isinstance(cell, cells.VanillaRNN) else {}
    module = peers.find("NNX's layers", CELLS, cell)(cell.input_size, cell.hidden_size, rngs=nnx.Rngs(0), **options)
    nnx.update(module, interop.to_flax_nnx(cell, data.params))
    # Split, so that a call of the compiled function walks over nothing in Python.
    split: Any = nnx.split(nnx.RNN(module), nnx.Param, ...)
    graph, variables, rest = split

    def apply(variables: Any, xs: jax.Array) -> Any:
        # Traced, as NNX counts its random draws by an indexing that JAX refuses for an array from outside a shard_map.
        traced = jax.tree.map(jax.lax.optimization_barrier, rest)
        return nnx.merge(graph, variables, traced, copy=True)(xs)

    return jax_programs(apply, variables, data, batch_first=True)
