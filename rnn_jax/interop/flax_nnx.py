"""Flax NNX's `SimpleCell`, `LSTMCell`, `OptimizedLSTMCell` and `GRUCell`.

NNX keeps kernels [in, out] with the gates side by side in the order of ours, but for `LSTMCell`, which has linen's one
kernel a gate and product. Its `GRUCell` has no bias inside the reset product, though its formula shows one: our b_hn is
zero.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from rnn_jax.cell import Cell, Params
from rnn_jax.cells.gru import GRU, GRUParams
from rnn_jax.cells.lstm import LSTM, LSTMParams
from rnn_jax.cells.vanilla import VanillaRNN
from rnn_jax.interop import mapping
from rnn_jax.interop.flax_linen import lstm_layout, simple_layout


def from_flax_nnx(cell: Cell, state: Mapping[str, Any]) -> Params:
    """The parameters of `cell` from an NNX cell's.

        params = from_flax_nnx(LSTM(8, 16), nnx.to_pure_dict(nnx.state(module, nnx.Param)))

    `LSTMCell` and `OptimizedLSTMCell` name theirs differently; either is read. Activations and `residual` are as in
    `from_flax_linen`. NNX's LSTM state is (c, h), ours (h, c), and its `SimpleCell` computes in float32 unless it was
    made with another `dtype`.

    Args:
      cell: a VanillaRNN, LSTM or GRU, or one in `Dropout` or `RecurrentDropout`.
      state: nested, or flat with dotted names ("dense_h.kernel"), as `read_safetensors` gives them. The arrays are
        copied; they keep their dtype as far as JAX does (float64 needs `jax_enable_x64`).

    Raises:
      TypeError: where `state` is no mapping.
      ValueError: where names are missing, unexpected or of the wrong shape, or NNX has no such cell.
    """
    cell = mapping.bare(cell)
    layouts = [mapping.find("from_flax_nnx", table, cell) for table in (_LAYOUTS, _NOT_OPTIMIZED)]
    mapping.check_mapping("from_flax_nnx", state)
    flat = mapping.flatten(state)
    layout = max(layouts, key=lambda layout: len(layout.shapes(cell).keys() & flat.keys()))
    return mapping.load("from_flax_nnx", layout, cell, flat)


def to_flax_nnx(cell: Cell, params: Params, *, optimized: bool = True) -> dict[str, Any]:
    """Nested parameters for the NNX cell that computes what `cell` does; `from_flax_nnx` gives back `params`.

        nnx.update(module, to_flax_nnx(cell, params))

    Args:
      cell: as for `from_flax_nnx`.
      params: its parameters; those of a GRU must be values, not tracers, as b_hn must be known to be zero.
      optimized: an LSTM's are for `OptimizedLSTMCell`; False: for `LSTMCell`. The other cells are of one kind.

    Raises:
      ValueError: where `params` are not of `cell`, NNX has no such cell, or a GRU's b_hn is not zero.
    """
    cell = mapping.bare(cell)
    layout = mapping.find("to_flax_nnx", _LAYOUTS if optimized else _NOT_OPTIMIZED, cell)
    return traverse_util.unflatten_dict(mapping.save("to_flax_nnx", layout, cell, params), sep=".")


def _save_gru(params: GRUParams) -> dict[str, jax.Array]:
    if jnp.any(params.b_hn != 0):
        raise ValueError("to_flax_nnx: nnx.GRUCell has no bias inside the reset product, and params.b_hn is not zero")
    return {"dense_i.kernel": params.w_i, "dense_i.bias": params.b, "dense_h.kernel": params.w_h}


_LAYOUTS: dict[type[Cell], mapping.Layout] = {
    VanillaRNN: simple_layout("nnx.SimpleCell", "dense_i", "dense_h"),
    LSTM: mapping.Layout(
        "nnx.OptimizedLSTMCell",
        lambda cell: {
            "dense_i.kernel": (cell.input_size, 4 * cell.hidden_size),
            "dense_h.kernel": (cell.hidden_size, 4 * cell.hidden_size),
            "dense_h.bias": (4 * cell.hidden_size,),
        },
        lambda a: LSTMParams(a["dense_i.kernel"], a["dense_h.kernel"], a["dense_h.bias"]),
        lambda params: {"dense_i.kernel": params.w_i, "dense_h.kernel": params.w_h, "dense_h.bias": params.b},
    ),
    GRU: mapping.Layout(
        "nnx.GRUCell",
        lambda cell: {
            "dense_i.kernel": (cell.input_size, 3 * cell.hidden_size),
            "dense_i.bias": (3 * cell.hidden_size,),
            "dense_h.kernel": (cell.hidden_size, 3 * cell.hidden_size),
        },
        lambda a: GRUParams(
            a["dense_i.kernel"], a["dense_h.kernel"], a["dense_i.bias"], jnp.zeros_like(a["dense_h.kernel"][:, 0])
        ),
        _save_gru,
    ),
}

# Linen's layout, but for a name that Python reserves.
_NOT_OPTIMIZED = {**_LAYOUTS, LSTM: lstm_layout("nnx.LSTMCell", ("ii", "if_", "ig", "io"))}
