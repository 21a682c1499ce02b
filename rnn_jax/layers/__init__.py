"""Layers and wrappers, made of cells: `rnn_jax.unroll` runs them like a cell; they nest freely, under every engine."""

from rnn_jax.layers.bidirectional import Bidirectional
from rnn_jax.layers.delay_line import DelayLine
from rnn_jax.layers.dropout import Dropout, RecurrentDropout
from rnn_jax.layers.learned_state import LearnedInitialState
from rnn_jax.layers.mixed_precision import MixedPrecision
from rnn_jax.layers.residual import Residual
from rnn_jax.layers.stack import Stack
from rnn_jax.layers.zoneout import Zoneout

__all__ = [
    "Bidirectional",
    "DelayLine",
    "Dropout",
    "LearnedInitialState",
    "MixedPrecision",
    "RecurrentDropout",
    "Residual",
    "Stack",
    "Zoneout",
]
