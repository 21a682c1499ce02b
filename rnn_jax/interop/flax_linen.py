"""Parameters of Flax linen's `SimpleCell`, `LSTMCell`, `OptimizedLSTMCell` and `GRUCell`.

Linen has one kernel [in, out] per gate and product, such as "ii" for the input gate from x and "hi" for the input gate
from h; `w_i` and `w_h` here are their concatenations. `LSTMCell` and `OptimizedLSTMCell` have the same parameters.
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
    """Returns the parameters of `cell` from those of a linen cell; the conversion is exact.

    The state of linen's LSTM is (c, h), here it is (h, c). Activations are not parameters: choose the same ones.
    `SimpleCell(residual=True)` computes act(x W_i + h (W_h + I) + b): add the identity to the w_h returned.

    >>> import flax.linen as nn, jax, jax.numpy as jnp, rnn_jax
    >>> from rnn_jax import interop
    >>> module, h, x = nn.GRUCell(3), jnp.ones((1, 3)), jnp.ones((1, 2))
    >>> variables = module.init(jax.random.key(0), h, x)
    >>> cell = rnn_jax.GRU(2, 3)
    >>> params = interop.from_flax_linen(cell, variables["params"])  # of nn.RNN: variables["params"]["cell"]
    >>> state, _ = rnn_jax.unroll(cell, params, x[None], h)
    >>> bool(jnp.allclose(state, module.apply(variables, h, x)[0], atol=1e-6))
    True

    Args:
      cell: VanillaRNN, LSTM or GRU, possibly inside `Dropout` or `RecurrentDropout`.
      params: parameters of the linen cell, nested or flat with dotted names such as "hi.kernel" (`read_safetensors`).
        The arrays are copied and keep their dtype (float64 requires `jax_enable_x64`).

    Returns:
      Parameters as those of `cell.init`.

    Raises:
      TypeError: if `params` is not a mapping.
      ValueError: if names are missing or unexpected, shapes differ, or linen has no such cell.
    """
    cell = mapping.bare(cell)
    layout = mapping.find("from_flax_linen", _LAYOUTS, cell)
    mapping.check_mapping("from_flax_linen", params)
    return mapping.load("from_flax_linen", layout, cell, mapping.flatten(params))


def to_flax_linen(cell: Cell, params: Params) -> dict[str, Any]:
    """Returns nested parameters of the linen cell that equals `cell`; `from_flax_linen` is the inverse.

    >>> import jax, rnn_jax
    >>> from rnn_jax import interop
    >>> cell = rnn_jax.GRU(2, 3)
    >>> sorted(interop.to_flax_linen(cell, cell.init(jax.random.key(0))))
    ['hn', 'hr', 'hz', 'in', 'ir', 'iz']

    Args:
      cell: cell as for `from_flax_linen`.
      params: parameters of `cell`.

    Raises:
      ValueError: if `params` do not belong to `cell`, or linen has no such cell.
    """
    cell = mapping.bare(cell)
    flat = mapping.save("to_flax_linen", mapping.find("to_flax_linen", _LAYOUTS, cell), cell, params)
    return traverse_util.unflatten_dict(flat, sep=".")


def lstm_layout(module: str, inputs: Sequence[str]) -> mapping.Layout:
    """Returns the layout of an LSTM with one kernel per gate and product, and a bias in the product with h.

    Args:
      module: name of the library's cell.
      inputs: names of the products with x, in the order of the gates i f g o.
    """
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
    """Returns the layout of an Elman cell with a kernel and the bias named `x` and a kernel named `h`."""
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
