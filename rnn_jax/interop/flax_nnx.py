"""Parameters of Flax NNX's `SimpleCell`, `LSTMCell`, `OptimizedLSTMCell` and `GRUCell`.

NNX's kernels [in, out] are concatenations over the gates, in the same order as here; only `LSTMCell` has one kernel per
gate and product, as linen. Its `GRUCell` has no bias inside the product with the reset gate, although the formula in
its documentation shows one; b_hn is zero here.
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
    """Returns the parameters of `cell` from those of an NNX cell; the conversion is exact.

    The names of `LSTMCell` and `OptimizedLSTMCell` differ; both are accepted. The state of NNX's LSTM is (c, h), here
    it is (h, c). For activations and `residual` see `from_flax_linen`. NNX's `SimpleCell` computes in float32 unless it
    has another `dtype`.

    >>> import jax.numpy as jnp, rnn_jax
    >>> from flax import nnx
    >>> from rnn_jax import interop
    >>> module = nnx.OptimizedLSTMCell(2, 3, rngs=nnx.Rngs(0))
    >>> cell = rnn_jax.LSTM(2, 3)
    >>> params = interop.from_flax_nnx(cell, nnx.to_pure_dict(nnx.state(module, nnx.Param)))
    >>> xs = jnp.ones((5, 1, 2))  # [T, B, input_size]
    >>> bool(jnp.allclose(rnn_jax.unroll(cell, params, xs)[1], nnx.RNN(module, time_major=True)(xs), atol=1e-6))
    True

    Args:
      cell: VanillaRNN, LSTM or GRU, possibly inside `Dropout` or `RecurrentDropout`.
      state: parameters of the NNX cell, nested or flat with dotted names such as "dense_h.kernel" (`read_safetensors`).
        The arrays are copied and keep their dtype (float64 requires `jax_enable_x64`).

    Returns:
      Parameters as those of `cell.init`.

    Raises:
      TypeError: if `state` is not a mapping.
      ValueError: if names are missing or unexpected, shapes differ, or NNX has no such cell.
    """
    cell = mapping.bare(cell)
    layouts = [mapping.find("from_flax_nnx", table, cell) for table in (_LAYOUTS, _NOT_OPTIMIZED)]
    mapping.check_mapping("from_flax_nnx", state)
    flat = mapping.flatten(state)
    layout = max(layouts, key=lambda layout: len(layout.shapes(cell).keys() & flat.keys()))
    return mapping.load("from_flax_nnx", layout, cell, flat)


def to_flax_nnx(cell: Cell, params: Params, *, optimized: bool = True) -> dict[str, Any]:
    """Returns nested parameters of the NNX cell that equals `cell`; `from_flax_nnx` is the inverse.

        nnx.update(module, to_flax_nnx(cell, params))

    Args:
      cell: cell as for `from_flax_nnx`.
      params: parameters of `cell`; those of a GRU must not be tracers, because b_hn has to be zero.
      optimized: whether the parameters of an LSTM are for `OptimizedLSTMCell` or, if False, for `LSTMCell`.

    Raises:
      ValueError: if `params` do not belong to `cell`, NNX has no such cell, or b_hn of a GRU is not zero.
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

# The layout of linen, except that NNX avoids the keyword `if` as a name.
_NOT_OPTIMIZED = {**_LAYOUTS, LSTM: lstm_layout("nnx.LSTMCell", ("ii", "if_", "ig", "io"))}
