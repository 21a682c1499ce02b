"""The registered cells as parameters of a test: those that are variants of another are slow or extended ones."""

import pytest

from rnn_jax import CELLS

VARIANTS = [
    "irnn",
    "lstm_peephole",
    "lstm_coupled",
    "gru_layer_norm",
    "gru_reset_before",
    "min_gru",
    "min_lstm",
    "lstm_layer_norm",
    "linear",
    "ind_rnn",
    "co_rnn",
]


EXTENDED = ["lstm_projected", "lru"]
# The names of all cells, those of variants extended.
NAMES = [pytest.param(name, marks=pytest.mark.extended if name in VARIANTS else ()) for name in CELLS]


def marks(name):
    """Returns the mark of a cell in tests that take time."""
    if name in VARIANTS:
        return pytest.mark.slow
    return pytest.mark.extended if name in EXTENDED else ()


def cells(input_size, hidden_size):
    """Every cell by its name, the variants marked slow, some others extended."""
    return [pytest.param(make(input_size, hidden_size), id=name, marks=marks(name)) for name, make in CELLS.items()]
