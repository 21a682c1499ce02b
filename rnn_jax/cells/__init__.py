"""Recurrent cells, one family a file. A new cell is one new file and one line in `CELLS`.

The tests ask for its step in NumPy (`tests/float64/test_oracles.py`).
"""

import functools
import importlib
from collections.abc import Callable

import jax

from rnn_jax import initializers
from rnn_jax.cell import Cell
from rnn_jax.cells.coupled_lstm import CoupledLSTM
from rnn_jax.cells.gru import GRU, GRUResetBefore
from rnn_jax.cells.layer_normalised import LayerNormGRU, LayerNormLSTM
from rnn_jax.cells.linear_rnn import LinearRNN
from rnn_jax.cells.lru import LRU
from rnn_jax.cells.lstm import LSTM
from rnn_jax.cells.min_gru import MinGRU
from rnn_jax.cells.min_lstm import MinLSTM
from rnn_jax.cells.peephole_lstm import PeepholeLSTM
from rnn_jax.cells.projected_lstm import ProjectedLSTM
from rnn_jax.cells.vanilla import VanillaRNN

__all__ = [
    "CELLS",
    "GRU",
    "LRU",
    "LSTM",
    "CoupledLSTM",
    "GRUResetBefore",
    "LayerNormGRU",
    "LayerNormLSTM",
    "LinearRNN",
    "MinGRU",
    "MinLSTM",
    "PeepholeLSTM",
    "ProjectedLSTM",
    "VanillaRNN",
    "find",
]

# Each is called as (input_size, hidden_size); the tests run the whole contract for every one.
CELLS: dict[str, Callable[[int, int], Cell]] = {
    "rnn": VanillaRNN,
    "irnn": functools.partial(
        VanillaRNN,
        activation=jax.nn.relu,
        recurrent_init=initializers.ScaledIdentity(),
        input_init=initializers.Normal(0.001),
    ),
    "lstm": LSTM,
    "lstm_peephole": PeepholeLSTM,
    "lstm_coupled": CoupledLSTM,
    "lstm_projected": ProjectedLSTM,
    "lstm_layer_norm": LayerNormLSTM,
    "gru": GRU,
    "gru_reset_before": GRUResetBefore,
    "gru_layer_norm": LayerNormGRU,
    "min_gru": MinGRU,
    "min_lstm": MinLSTM,
    "lru": LRU,
    "linear": LinearRNN,
}


def find(name: str) -> Callable[[int, int], Cell]:
    """Returns the cell called `name` in `CELLS`, or the one at an import path `module:Class`.

    >>> find("lstm")(2, 3)
    LSTM(input_size=2, hidden_size=3, forget_bias=1.0, ...)

    Raises:
      ValueError: if there is no such cell; the message names the missing part and the known cells.
    """
    module_name, colon, attribute = name.partition(":")
    if not colon:
        if name not in CELLS:
            raise ValueError(
                f"unknown cell {name!r}: known are {', '.join(CELLS)}, and user-defined ones as module:Class"
            )
        return CELLS[name]
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's module may raise anything
        raise ValueError(f"cell {name!r}: cannot import module {module_name!r}: {error!r}") from error
    if not hasattr(module, attribute):
        raise ValueError(f"cell {name!r}: module {module_name!r} has no {attribute!r}")
    factory = getattr(module, attribute)
    if not callable(factory):
        raise ValueError(
            f"cell {name!r} must be a class or function (input_size, hidden_size) -> Cell, got {factory!r}"
        )
    return factory
