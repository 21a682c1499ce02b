"""A research bench for recurrent networks: how far a cell's gradient reaches, what it learns, what that costs.

Names that most programs need stand here; others in their modules: `rnn_jax.training`, `rnn_jax.diagnostics`,
`rnn_jax.models`, `rnn_jax.data`, `rnn_jax.interop`, `rnn_jax.targets`.
"""

from rnn_jax.cell import Cell, LinearCell, SplitCell
from rnn_jax.cells import (
    BRC,
    CELLS,
    GLA,
    GRU,
    HGRN2,
    JANET,
    LEM,
    LMU,
    LRU,
    LSTM,
    MGU,
    MLSTM,
    NBRC,
    QRNN,
    RGLRU,
    RHN,
    S5,
    S6,
    SLSTM,
    SRU,
    AntisymmetricRNN,
    CfC,
    ClockworkRNN,
    CoRNN,
    CoupledLSTM,
    DeltaNet,
    ExpRNN,
    FastGRNN,
    GatedAntisymmetricRNN,
    GatedDeltaNet,
    GRUResetBefore,
    IndRNN,
    LayerNormGRU,
    LayerNormLSTM,
    LeakyRNN,
    LinearRNN,
    LipschitzRNN,
    MinGRU,
    MinLSTM,
    PeepholeLSTM,
    ProjectedLSTM,
    UnICORNN,
    VanillaRNN,
)
from rnn_jax.engines import Associative, Checkpointed, CuDNN, Fused, Hoisted, Newton, Scan
from rnn_jax.gradients import BPTT, RTRL, TBPTT, UORO, EProp, SnAp
from rnn_jax.layers import (
    Bidirectional,
    Dropout,
    Gated,
    LearnedInitialState,
    MixedPrecision,
    PerStep,
    RecurrentDropout,
    Residual,
    ShortConvolution,
    Stack,
    Zoneout,
)
from rnn_jax.models import Encoded, LanguageModel, ReadoutModel
from rnn_jax.tasks import (
    Adding,
    Adding1997,
    AssociativeRecall,
    Copying,
    Multiplication,
    NBack,
    Parity,
    SelectiveCopying,
    TemporalOrder,
    TwoSymbol,
    TwoSymbolTriggered,
    VariableCopying,
    digits,
    mnist,
)
from rnn_jax.unrolling import unroll

# The contract.
__all__ = ["Cell", "LinearCell", "SplitCell", "unroll"]

# Cells; `CELLS` has them by name.
__all__ += [
    "BRC",
    "CELLS",
    "GLA",
    "GRU",
    "HGRN2",
    "JANET",
    "LEM",
    "LMU",
    "LRU",
    "LSTM",
    "MGU",
    "MLSTM",
    "NBRC",
    "QRNN",
    "RGLRU",
    "RHN",
    "S5",
    "S6",
    "SLSTM",
    "SRU",
    "AntisymmetricRNN",
    "CfC",
    "ClockworkRNN",
    "CoRNN",
    "CoupledLSTM",
    "DeltaNet",
    "ExpRNN",
    "FastGRNN",
    "GRUResetBefore",
    "GatedAntisymmetricRNN",
    "GatedDeltaNet",
    "IndRNN",
    "LayerNormGRU",
    "LayerNormLSTM",
    "LeakyRNN",
    "LinearRNN",
    "LipschitzRNN",
    "MinGRU",
    "MinLSTM",
    "PeepholeLSTM",
    "ProjectedLSTM",
    "UnICORNN",
    "VanillaRNN",
]

# Layers and wrappers, made of cells.
__all__ += [
    "Bidirectional",
    "Dropout",
    "Encoded",
    "Gated",
    "LearnedInitialState",
    "MixedPrecision",
    "PerStep",
    "RecurrentDropout",
    "Residual",
    "ShortConvolution",
    "Stack",
    "Zoneout",
]

# Engines, which solve the recurrence.
__all__ += ["Associative", "Checkpointed", "CuDNN", "Fused", "Hoisted", "Newton", "Scan"]

# Estimators of gradients.
__all__ += ["BPTT", "RTRL", "TBPTT", "UORO", "EProp", "SnAp"]

# Models.
__all__ += ["LanguageModel", "ReadoutModel"]

# Tasks with long dependencies.
__all__ += [
    "Adding",
    "Adding1997",
    "AssociativeRecall",
    "Copying",
    "Multiplication",
    "NBack",
    "Parity",
    "SelectiveCopying",
    "TemporalOrder",
    "TwoSymbol",
    "TwoSymbolTriggered",
    "VariableCopying",
    "digits",
    "mnist",
]
