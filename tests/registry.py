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
]


# The names of all cells, those of variants extended.
NAMES = [pytest.param(name, marks=pytest.mark.extended if name in VARIANTS else ()) for name in CELLS]


def cells(input_size, hidden_size):
    """Every cell by its name, the variants marked slow."""
    return [
        pytest.param(make(input_size, hidden_size), id=name, marks=pytest.mark.slow if name in VARIANTS else ())
        for name, make in CELLS.items()
    ]
