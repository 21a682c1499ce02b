"""Layers and wrappers, made of cells: `rnn_jax.unroll` runs them like a cell; they nest freely, under every engine."""

from rnn_jax.layers.bidirectional import Bidirectional
from rnn_jax.layers.blocks import convolution_block, glu_block, griffin_block, mlp_block
from rnn_jax.layers.delay_line import DelayLine
from rnn_jax.layers.dropout import Dropout, RecurrentDropout
from rnn_jax.layers.gated import Gated
from rnn_jax.layers.learned_state import LearnedInitialState
from rnn_jax.layers.mixed_precision import MixedPrecision
from rnn_jax.layers.per_step import PerStep
from rnn_jax.layers.residual import Residual
from rnn_jax.layers.short_convolution import ShortConvolution
from rnn_jax.layers.stack import Stack
from rnn_jax.layers.zoneout import Zoneout

__all__ = [
    "Bidirectional",
    "DelayLine",
    "Dropout",
    "Gated",
    "LearnedInitialState",
    "MixedPrecision",
    "PerStep",
    "RecurrentDropout",
    "Residual",
    "ShortConvolution",
    "Stack",
    "Zoneout",
    "convolution_block",
    "glu_block",
    "griffin_block",
    "mlp_block",
]
