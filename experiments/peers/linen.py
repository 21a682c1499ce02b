"""Flax linen: `RNN` over `SimpleCell`, `OptimizedLSTMCell` and `GRUCell`, batch first as by default."""

from typing import Any

from flax import linen

from experiments import peers
from experiments.peers.programs import Data, Programs, jax_programs
from rnn_jax import Cell, cells, interop

CELLS: dict[type[Cell], Any] = {
    cells.VanillaRNN: linen.SimpleCell,
    cells.LSTM: linen.OptimizedLSTMCell,
    cells.GRU: linen.GRUCell,
}


def programs(cell: Cell, data: Data) -> Programs:
    """Returns the layer of a cell with the parameters in `data`."""
    module: Any = linen.RNN(peers.find("Linen's layers", CELLS, cell)(cell.hidden_size))
    variables = {"params": {"cell": interop.to_flax_linen(cell, data.params)}}
    return jax_programs(module.apply, variables, data, batch_first=True)
