"""Keras 3's `SimpleRNN`, `LSTM` and `GRU`, by the names of their weights.

Weights are [in, out] as ours. The LSTM's gates stand in the order of ours (i f c o, c being g), the GRU's in the order
z r h, ours r z n.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import Cell, Params
from rnn_jax.cells.gru import GRU, GRUParams, GRUResetBefore, GRUResetBeforeParams
from rnn_jax.cells.lstm import LSTM, LSTMParams
from rnn_jax.cells.vanilla import VanillaParams, VanillaRNN
from rnn_jax.interop import double_bias, mapping


def from_keras(cell: Cell, weights: Mapping[str, Any]) -> Params:
    """The parameters of `cell` from a Keras layer's weights.

        params = from_keras(GRU(8, 16), {w.name: w for w in layer.weights})

    `GRU` is Keras' `reset_after=True` (its default; bias [2, 3H], for the input and for the recurrent product),
    `GRUResetBefore` its `reset_after=False` (bias [3H]). A layer made with `use_bias=False` has zero biases here; then
    the two kinds of GRU look alike, and it is for you to know which one it is. So it is with the activations, which are
    no weights. Keras' own GRU keeps two biases at every gate, ours their sum, but for the candidate's: Keras -> ours ->
    Keras gives other biases but the same function; ours -> Keras -> ours gives the same arrays.

    Args:
      cell: a VanillaRNN, LSTM, GRU or GRUResetBefore, or one in `Dropout` or `RecurrentDropout`.
      weights: `kernel`, `recurrent_kernel` and `bias`: Keras variables or arrays. `layer.get_weights()` has no names,
        and those of a Keras `Bidirectional` stand for two: take its `forward_layer.weights` and
        `backward_layer.weights`. The arrays are copied; they keep their dtype as far as JAX does (float64 needs
        `jax_enable_x64`).

    Raises:
      TypeError: where `weights` is no mapping.
      ValueError: where names are missing, unexpected or of the wrong shape, or Keras has no such cell.
    """
    cell = mapping.bare(cell)
    if isinstance(weights, list):
        raise TypeError("from_keras wants weights by name, got a list: pass {w.name: w for w in layer.weights}")
    return mapping.load("from_keras", mapping.find("from_keras", _LAYOUTS, cell), cell, weights)


def to_keras(cell: Cell, params: Params) -> dict[str, jax.Array]:
    """Weights by name for the Keras layer that computes what `cell` does; `from_keras` gives back `params`.

        layer.set_weights(list(to_keras(cell, params).values()))

    The layer must have biases, and its `reset_after` and activation be the cell's.

    Args:
      cell: as for `from_keras`.
      params: its parameters.

    Returns:
      Names to arrays, in the order of `layer.weights`.

    Raises:
      ValueError: where `params` are not of `cell`, or Keras has no such cell.
    """
    cell = mapping.bare(cell)
    return mapping.save("to_keras", mapping.find("to_keras", _LAYOUTS, cell), cell, params)


def _shapes(gates: int, *biases: int) -> Callable[[Cell], dict[str, mapping.Shape]]:
    def shapes(cell: Cell) -> dict[str, mapping.Shape]:
        columns = gates * cell.hidden_size
        kernels = {"kernel": (cell.input_size, columns), "recurrent_kernel": (cell.hidden_size, columns)}
        return {**kernels, "bias": (*biases, columns)}

    return shapes


def _swap(x: jax.Array) -> jax.Array:
    """Gates r z n as z r n, and back."""
    first, second, candidate = jnp.split(x, 3, axis=-1)
    return jnp.concatenate([second, first, candidate], axis=-1)


def _load(a: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
    return a["kernel"], a["recurrent_kernel"], a["bias"]


def _save(w_i: jax.Array, w_h: jax.Array, b: jax.Array) -> dict[str, jax.Array]:
    return {"kernel": w_i, "recurrent_kernel": w_h, "bias": b}


def _load_gru(a: Mapping[str, jax.Array]) -> GRUParams:
    w_i, w_h, biases = map(_swap, _load(a))
    return GRUParams(w_i, w_h, *double_bias.join(*biases))


def _save_gru(params: GRUParams) -> dict[str, jax.Array]:
    biases = jnp.stack(double_bias.split(params.b, params.b_hn))
    return _save(*map(_swap, (params.w_i, params.w_h, biases)))


_BIASES = ("bias",)

_LAYOUTS: dict[type[Cell], mapping.Layout] = {
    VanillaRNN: mapping.Layout(
        "SimpleRNN", _shapes(1), lambda a: VanillaParams(*_load(a)), lambda params: _save(*params), _BIASES
    ),
    LSTM: mapping.Layout("LSTM", _shapes(4), lambda a: LSTMParams(*_load(a)), lambda params: _save(*params), _BIASES),
    GRU: mapping.Layout("GRU(reset_after=True)", _shapes(3, 2), _load_gru, _save_gru, _BIASES),
    GRUResetBefore: mapping.Layout(
        "GRU(reset_after=False)",
        _shapes(3),
        lambda a: GRUResetBeforeParams(*map(_swap, _load(a))),
        lambda params: _save(*map(_swap, params)),
        _BIASES,
    ),
}
