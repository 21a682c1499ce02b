"""A research bench for recurrent networks: how far a cell's gradient reaches, what it learns, what that costs."""

from rnn_jax.cell import Cell
from rnn_jax.cells import CELLS, GRU, LSTM, GRUResetBefore, VanillaRNN
from rnn_jax.engines import Scan
from rnn_jax.models import ReadoutModel
from rnn_jax.tasks import Adding, Adding1997, Copying, TemporalOrder, digits, mnist
from rnn_jax.unroll import unroll

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "Adding",
    "Adding1997",
    "Cell",
    "Copying",
    "GRUResetBefore",
    "ReadoutModel",
    "Scan",
    "TemporalOrder",
    "VanillaRNN",
    "digits",
    "mnist",
    "unroll",
]
