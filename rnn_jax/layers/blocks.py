"""Blocks as the papers of linear recurrences use them: a cell between normalisation, gates and networks per step.

Each is one expression of layers, to be read, changed and stacked:

    Stack([PerStep(1, nn.Dense, 64), *[glu_block(64)] * 4])
"""

from collections.abc import Callable

import flax.linen as nn
import jax

from rnn_jax import checks
from rnn_jax.cell import Cell
from rnn_jax.cells import RGLRU, S5, MinGRU
from rnn_jax.layers.gated import Gated
from rnn_jax.layers.per_step import PerStep
from rnn_jax.layers.residual import Residual
from rnn_jax.layers.short_convolution import ShortConvolution
from rnn_jax.layers.stack import Stack

MakeCell = Callable[[int, int], Cell]  # (input_size, hidden_size) -> cell with hidden_size outputs


class GLU(nn.Module):
    """y = gelu(x) * sigmoid(gelu(x) W + b), the end of a layer of S5."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.gelu(x)
        return x * nn.sigmoid(nn.Dense(x.shape[-1])(x))


class GatedMLP(nn.Module):
    """y = (gelu(x W_1 + b_1) * (x W_2 + b_2)) W_3 + b_3, Dauphin et al. 2017 and Shazeer 2020 (arXiv:2002.05202).

    Attributes:
      hidden_size: features between the products.
    """

    hidden_size: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        gate, value = nn.Dense(self.hidden_size)(x), nn.Dense(self.hidden_size)(x)
        return nn.Dense(x.shape[-1])(nn.gelu(gate) * value)


def glu_block(width: int, make: MakeCell = S5) -> Cell:
    """Returns x + GLU(cell(LayerNorm(x))): the layer of S5, Smith et al. 2023 (arXiv:2208.04933), as in its code.

    That of the LRU (Orvieto et al. 2023, arXiv:2303.06349) is the same but for a batch normalisation.

    >>> from rnn_jax import LRU
    >>> glu_block(8, LRU).output_size
    8

    Args:
      width: features of its inputs and outputs.
      make: function (input_size, hidden_size) -> cell, called with width twice.
    """
    return Residual(Stack((PerStep(width, nn.LayerNorm), make(width, width), PerStep(width, GLU))))


def convolution_block(width: int, make: MakeCell = MinGRU) -> Cell:
    """Returns x + cell(conv4(RMSNorm(x))), then `mlp_block`: the layers of minGRU, Feng et al. 2024 (arXiv:2410.01201).

    Args:
      width: features of its inputs and outputs.
      make: function (input_size, hidden_size) -> cell, called with width twice.
    """
    recurrent = Stack((PerStep(width, nn.RMSNorm), ShortConvolution(width), make(width, width)))
    return Stack((Residual(recurrent), mlp_block(width)))


def griffin_block(width: int, make: MakeCell = RGLRU, units: int | None = None) -> Cell:
    """Returns the residual block of Griffin, De et al. 2024 (arXiv:2402.19427), figure 2, then `mlp_block`.

        y = x + (gelu(n W_1 + b_1) * cell(conv4(n W_2 + b_2))) W_3 + b_3,      n = RMSNorm(x)

    Args:
      width: features of its inputs and outputs.
      make: function (input_size, hidden_size) -> cell, called with units twice.
      units: features inside; None for 4/3 width, rounded, as in the paper.
    """
    units = round(4 / 3 * width) if units is None else units
    checks.integer_at_least(1, units, "griffin_block: units")
    branch = Stack((PerStep(width, nn.Dense, units), ShortConvolution(units), make(units, units)))
    recurrent = Stack((PerStep(width, nn.RMSNorm), Gated(branch), PerStep(units, nn.Dense, width)))
    return Stack((Residual(recurrent), mlp_block(width)))


def mlp_block(width: int, expansion: int = 3) -> Cell:
    """Returns x + GatedMLP(RMSNorm(x)) with `expansion` times as many features inside, three in Griffin."""
    checks.integer_at_least(1, expansion, "mlp_block: expansion")
    return Residual(Stack((PerStep(width, nn.RMSNorm), PerStep(width, GatedMLP, expansion * width))))
