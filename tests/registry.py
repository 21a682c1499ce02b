"""The registered cells as parameters of a test: those that are not named here are variants, slow or extended ones."""

import pytest

from rnn_jax import CELLS

# Cells that the plain run tests; a new one is a variant.
PLAIN = ["rnn", "lstm", "gru", "lstm_projected", "lru"]
EXTENDED = ["lstm_projected", "lru"]
VARIANTS = [name for name in CELLS if name not in PLAIN]
# The names of all cells, those of variants extended.
NAMES = [pytest.param(name, marks=pytest.mark.extended if name in VARIANTS else ()) for name in CELLS]
# The same, those of variants slow.
SLOW_VARIANTS = [pytest.param(name, marks=pytest.mark.slow if name in VARIANTS else ()) for name in CELLS]


def marks(name):
    """Returns the mark of a cell in tests that take time."""
    if name in VARIANTS:
        return pytest.mark.slow
    return pytest.mark.extended if name in EXTENDED else ()


def cells_extended(input_size, hidden_size):
    """Every cell by its name, the variants marked extended."""
    return [
        pytest.param(make(input_size, hidden_size), id=param.values[0], marks=param.marks)
        for param, make in zip(NAMES, CELLS.values(), strict=True)
    ]


def cells(input_size, hidden_size):
    """Every cell by its name, the variants marked slow, some others extended."""
    return [pytest.param(make(input_size, hidden_size), id=name, marks=marks(name)) for name, make in CELLS.items()]
