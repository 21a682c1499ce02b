"""A research bench for recurrent networks: how far a cell's gradient reaches, what it learns, what that costs."""

from rnn_jax.cell import Cell
from rnn_jax.cells import (
    CELLS,
    GRU,
    LSTM,
    CoupledLSTM,
    GRUResetBefore,
    LayerNormGRU,
    LayerNormLSTM,
    PeepholeLSTM,
    ProjectedLSTM,
    VanillaRNN,
)
from rnn_jax.engines import Checkpointed, Hoisted, Scan
from rnn_jax.layers import (
    Bidirectional,
    Dropout,
    LearnedInitialState,
    MixedPrecision,
    RecurrentDropout,
    Residual,
    Stack,
    Zoneout,
)
from rnn_jax.models import ReadoutModel
from rnn_jax.tasks import Adding, Adding1997, Copying, TemporalOrder, digits, mnist
from rnn_jax.unroll import unroll

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "Adding",
    "Adding1997",
    "Bidirectional",
    "Cell",
    "Checkpointed",
    "Copying",
    "CoupledLSTM",
    "Dropout",
    "GRUResetBefore",
    "Hoisted",
    "LayerNormGRU",
    "LayerNormLSTM",
    "LearnedInitialState",
    "MixedPrecision",
    "PeepholeLSTM",
    "ProjectedLSTM",
    "ReadoutModel",
    "RecurrentDropout",
    "Residual",
    "Scan",
    "Stack",
    "TemporalOrder",
    "VanillaRNN",
    "Zoneout",
    "digits",
    "mnist",
    "unroll",
]
