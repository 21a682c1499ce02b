"""Recurrent cells, one family a file. A new cell is one new file and one line in `CELLS`.

The tests ask for its step in NumPy (`tests/float64/test_oracles.py`).
"""

import functools
from collections.abc import Callable

import jax

from rnn_jax import import_path, initializers
from rnn_jax.cell import Cell
from rnn_jax.cells.antisymmetric import AntisymmetricRNN, GatedAntisymmetricRNN
from rnn_jax.cells.bistable import BRC, NBRC
from rnn_jax.cells.cfc import CfC
from rnn_jax.cells.clockwork import ClockworkRNN
from rnn_jax.cells.co_rnn import CoRNN
from rnn_jax.cells.coupled_lstm import CoupledLSTM
from rnn_jax.cells.delta_net import DeltaNet, GatedDeltaNet
from rnn_jax.cells.exp_rnn import ExpRNN
from rnn_jax.cells.fast_grnn import FastGRNN
from rnn_jax.cells.gru import GRU, GRUResetBefore
from rnn_jax.cells.ind_rnn import IndRNN
from rnn_jax.cells.janet import JANET
from rnn_jax.cells.layer_normalised import LayerNormGRU, LayerNormLSTM
from rnn_jax.cells.leaky_rnn import LeakyRNN
from rnn_jax.cells.lem import LEM
from rnn_jax.cells.linear_attention import GLA, HGRN2
from rnn_jax.cells.linear_rnn import LinearRNN
from rnn_jax.cells.lipschitz import LipschitzRNN
from rnn_jax.cells.lmu import LMU
from rnn_jax.cells.lru import LRU
from rnn_jax.cells.lstm import LSTM
from rnn_jax.cells.m_lstm import MLSTM
from rnn_jax.cells.mgu import MGU
from rnn_jax.cells.min_gru import MinGRU
from rnn_jax.cells.min_lstm import MinLSTM
from rnn_jax.cells.peephole_lstm import PeepholeLSTM
from rnn_jax.cells.projected_lstm import ProjectedLSTM
from rnn_jax.cells.qrnn import QRNN
from rnn_jax.cells.recurrent_highway import RHN
from rnn_jax.cells.rg_lru import RGLRU
from rnn_jax.cells.s5 import S5
from rnn_jax.cells.s6 import S6
from rnn_jax.cells.slstm import SLSTM
from rnn_jax.cells.sru import SRU
from rnn_jax.cells.unicornn import UnICORNN
from rnn_jax.cells.vanilla import VanillaRNN

__all__ = [
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
    "min_gru_negative": functools.partial(MinGRU, negative_eigenvalues=True),
    "min_lstm": MinLSTM,
    "lru": LRU,
    "s5": S5,
    "rg_lru": RGLRU,
    "rg_lru_negative": functools.partial(RGLRU, negative_eigenvalues=True),
    "s6": S6,
    "gla": GLA,
    "hgrn2": HGRN2,
    "m_lstm": MLSTM,
    "delta_net": DeltaNet,
    "gated_delta_net": GatedDeltaNet,
    "linear": LinearRNN,
    "ind_rnn": IndRNN,
    "co_rnn": CoRNN,
    "mgu": MGU,
    "janet": JANET,
    "fast_grnn": FastGRNN,
    "antisymmetric_rnn": AntisymmetricRNN,
    "gated_antisymmetric_rnn": GatedAntisymmetricRNN,
    "exp_rnn": ExpRNN,
    "lipschitz_rnn": LipschitzRNN,
    "lem": LEM,
    "rhn": RHN,
    "sru": SRU,
    "qrnn": QRNN,
    "brc": BRC,
    "nbrc": NBRC,
    "slstm": SLSTM,
    "leaky_rnn": LeakyRNN,
    "unicornn": UnICORNN,
    "clockwork_rnn": ClockworkRNN,
    "lmu": functools.partial(LMU, order=16, theta=100.0),
    "cfc": CfC,
}


def find(name: str) -> Callable[[int, int], Cell]:
    """Returns the cell called `name` in `CELLS`, or the user-defined one at an import path `module:Class`.

    >>> find("lstm")(2, 3)
    LSTM(input_size=2, hidden_size=3, forget_bias=1.0, ...)

    Args:
      name: key of `CELLS`, or `module:Class`, with options `module:Class(option=value)`.

    Raises:
      ValueError: if there is no such cell; the message names the missing part and the known cells.
    """
    if ":" in name:
        return import_path.load(name, "cell", "(input_size, hidden_size) -> Cell")
    if name not in CELLS:
        raise ValueError(f"unknown cell {name!r}: known are {', '.join(CELLS)}, and user-defined ones as module:Class")
    return CELLS[name]
