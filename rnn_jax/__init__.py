"""A research bench for recurrent networks: how far a cell's gradient reaches, what it learns, what that costs."""

from rnn_jax.cell import Cell
from rnn_jax.cells import (
    CELLS,
    GRU,
    LRU,
    LSTM,
    CoupledLSTM,
    GRUResetBefore,
    LayerNormGRU,
    LayerNormLSTM,
    LinearRNN,
    MinGRU,
    MinLSTM,
    PeepholeLSTM,
    ProjectedLSTM,
    VanillaRNN,
)
from rnn_jax.engines import Associative, Checkpointed, Hoisted, Scan
from rnn_jax.gradients import BPTT, RTRL, TBPTT, UORO, EProp, SnAp
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
    "BPTT",
    "CELLS",
    "GRU",
    "LRU",
    "LSTM",
    "RTRL",
    "TBPTT",
    "UORO",
    "Adding",
    "Adding1997",
    "Associative",
    "Bidirectional",
    "Cell",
    "Checkpointed",
    "Copying",
    "CoupledLSTM",
    "Dropout",
    "EProp",
    "GRUResetBefore",
    "Hoisted",
    "LayerNormGRU",
    "LayerNormLSTM",
    "LearnedInitialState",
    "LinearRNN",
    "MinGRU",
    "MinLSTM",
    "MixedPrecision",
    "PeepholeLSTM",
    "ProjectedLSTM",
    "ReadoutModel",
    "RecurrentDropout",
    "Residual",
    "Scan",
    "SnAp",
    "Stack",
    "TemporalOrder",
    "VanillaRNN",
    "Zoneout",
    "digits",
    "mnist",
    "unroll",
]
