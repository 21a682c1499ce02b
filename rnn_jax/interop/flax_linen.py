"""Flax linen's `SimpleCell`, `LSTMCell` (`OptimizedLSTMCell` has the same parameters) and `GRUCell`.

Linen keeps one kernel [in, out] a gate and product, "ii" for the input gate's from x, "hi" for its from h; ours are
these side by side.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import traverse_util

from rnn_jax.cell import Cell, Params
from rnn_jax.cells.gru import GRU, GRUParams
from rnn_jax.cells.lstm import LSTM, LSTMParams
from rnn_jax.cells.vanilla import VanillaParams, VanillaRNN
from rnn_jax.interop import mapping


def from_flax_linen(cell: Cell, params: Mapping[str, Any]) -> Params:
    """The parameters of `cell` from a linen cell's.

        variables = nn.RNN(nn.GRUCell(16)).init(key, xs)
        params = from_flax_linen(GRU(8, 16), variables["params"]["cell"])

    Activations are no parameters, and a `SimpleCell(residual=True)` has the same ones: it computes
    act(x W_i + h (W_h + I) + b), so add the identity to our w_h. Linen's LSTM state is (c, h), ours (h, c). Both
    conversions are exact.

    Args:
      cell: a VanillaRNN, LSTM or GRU, or one in `Dropout` or `RecurrentDropout`.
      params: nested, as linen has them, or flat with dotted names ("hi.kernel"), as `read_safetensors` gives them. The
        arrays are copied; they keep their dtype as far as JAX does (float64 needs `jax_enable_x64`).

    Raises:
      TypeError: where `params` is no mapping.
      ValueError: where names are missing, unexpected or of the wrong shape, or linen has no such cell.
    """
    cell = mapping.bare(cell)
    layout = mapping.find("from_flax_linen", _LAYOUTS, cell)
    mapping.check_mapping("from_flax_linen", params)
    return mapping.load("from_flax_linen", layout, cell, mapping.flatten(params))


def to_flax_linen(cell: Cell, params: Params) -> dict[str, Any]:
    """Nested parameters for the linen cell that computes what `cell` does; `from_flax_linen` gives back `params`.

        nn.RNN(nn.GRUCell(16)).apply({"params": {"cell": to_flax_linen(cell, params)}}, xs)

    Args:
      cell: as for `from_flax_linen`.
      params: its parameters.

    Raises:
      ValueError: where `params` are not of `cell`, or linen has no such cell.
    """
    cell = mapping.bare(cell)
    flat = mapping.save("to_flax_linen", mapping.find("to_flax_linen", _LAYOUTS, cell), cell, params)
    return traverse_util.unflatten_dict(flat, sep=".")


def lstm_layout(module: str, inputs: Sequence[str]) -> mapping.Layout:
    """An LSTM with one kernel a gate and product, and the bias in that of h. `inputs`: the names of those of x."""
    hidden = ("hi", "hf", "hg", "ho")

    def shapes(cell: Cell) -> dict[str, mapping.Shape]:
        return {
            **{f"{name}.kernel": (cell.input_size, cell.hidden_size) for name in inputs},
            **{f"{name}.kernel": (cell.hidden_size, cell.hidden_size) for name in hidden},
            **{f"{name}.bias": (cell.hidden_size,) for name in hidden},
        }

    return mapping.Layout(
        module,
        shapes,
        lambda a: LSTMParams(_join(a, inputs, "kernel"), _join(a, hidden, "kernel"), _join(a, hidden, "bias")),
        lambda params: {
            **_split(params.w_i, inputs, "kernel"),
            **_split(params.w_h, hidden, "kernel"),
            **_split(params.b, hidden, "bias"),
        },
    )


def simple_layout(module: str, x: str, h: str) -> mapping.Layout:
    """An Elman cell: a kernel and the bias named `x`, a kernel named `h`."""
    return mapping.Layout(
        module,
        lambda cell: {
            f"{x}.kernel": (cell.input_size, cell.hidden_size),
            f"{x}.bias": (cell.hidden_size,),
            f"{h}.kernel": (cell.hidden_size, cell.hidden_size),
        },
        lambda a: VanillaParams(a[f"{x}.kernel"], a[f"{h}.kernel"], a[f"{x}.bias"]),
        lambda params: {f"{x}.kernel": params.w_i, f"{x}.bias": params.b, f"{h}.kernel": params.w_h},
    )


_GRU_X, _GRU_H = ("ir", "iz", "in"), ("hr", "hz", "hn")


def _gru_shapes(cell: Cell) -> dict[str, mapping.Shape]:
    return {
        **{f"{name}.kernel": (cell.input_size, cell.hidden_size) for name in _GRU_X},
        **{f"{name}.bias": (cell.hidden_size,) for name in _GRU_X},
        **{f"{name}.kernel": (cell.hidden_size, cell.hidden_size) for name in _GRU_H},
        "hn.bias": (cell.hidden_size,),
    }


def _load_gru(a: Mapping[str, jax.Array]) -> GRUParams:
    return GRUParams(_join(a, _GRU_X, "kernel"), _join(a, _GRU_H, "kernel"), _join(a, _GRU_X, "bias"), a["hn.bias"])


def _save_gru(params: GRUParams) -> dict[str, jax.Array]:
    return {
        **_split(params.w_i, _GRU_X, "kernel"),
        **_split(params.b, _GRU_X, "bias"),
        **_split(params.w_h, _GRU_H, "kernel"),
        "hn.bias": params.b_hn,
    }


def _join(a: Mapping[str, jax.Array], names: Sequence[str], kind: str) -> jax.Array:
    return jnp.concatenate([a[f"{name}.{kind}"] for name in names], axis=-1)


def _split(x: jax.Array, names: Sequence[str], kind: str) -> dict[str, jax.Array]:
    blocks = jnp.split(x, len(names), axis=-1)
    return {f"{name}.{kind}": block for name, block in zip(names, blocks, strict=True)}


_LAYOUTS: dict[type[Cell], mapping.Layout] = {
    VanillaRNN: simple_layout("nn.SimpleCell", "i", "h"),
    LSTM: lstm_layout("nn.LSTMCell", ("ii", "if", "ig", "io")),
    GRU: mapping.Layout("nn.GRUCell", _gru_shapes, _load_gru, _save_gru),
}
