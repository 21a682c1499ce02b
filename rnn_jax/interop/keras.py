"""Weights of Keras 3's `SimpleRNN`, `LSTM` and `GRU`, by name.

Weights are [in, out] in both libraries. The order of the LSTM's gates is the same (Keras calls g c); that of the GRU is
z r h in Keras and r z n here.
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
    """Returns the parameters of `cell` from the weights of a Keras layer.

        params = from_keras(GRU(8, 16), {w.name: w for w in layer.weights})

    `GRU` is Keras' `reset_after=True` (its default; bias [2, 3H] for the two products), `GRUResetBefore` its
    `reset_after=False` (bias [3H]). A layer with `use_bias=False` gives zero biases; then the weights of both kinds of
    GRU have the same shapes, and you must choose the right cell. Activations are not weights either.

    Keras' GRU with `reset_after` has two biases per gate, here they are added up where only their sum matters. So
    converting from Keras and back gives other biases but the same function; converting to Keras and back is exact.

    Args:
      cell: VanillaRNN, LSTM, GRU or GRUResetBefore, possibly inside `Dropout` or `RecurrentDropout`.
      weights: Keras variables or arrays named `kernel`, `recurrent_kernel` and `bias`. For a Keras `Bidirectional`
        convert `forward_layer.weights` and `backward_layer.weights` separately. The arrays are copied and keep their
        dtype (float64 requires `jax_enable_x64`).

    Returns:
      Parameters as those of `cell.init`.

    Raises:
      TypeError: if `weights` is not a mapping; `layer.get_weights()` is a list without names.
      ValueError: if names are missing or unexpected, shapes differ, or Keras has no such cell.
    """
    cell = mapping.bare(cell)
    if isinstance(weights, list):
        raise TypeError("from_keras expects weights by name, got a list: pass {w.name: w for w in layer.weights}")
    return mapping.load("from_keras", mapping.find("from_keras", _LAYOUTS, cell), cell, weights)


def to_keras(cell: Cell, params: Params) -> dict[str, jax.Array]:
    """Returns the weights of the Keras layer that equals `cell`; `from_keras` is the inverse.

        layer.set_weights(list(to_keras(cell, params).values()))

    The layer must have biases, and the `reset_after` and activation of the cell.

    >>> import jax, rnn_jax
    >>> from rnn_jax import interop
    >>> cell = rnn_jax.GRU(2, 3)
    >>> weights = interop.to_keras(cell, cell.init(jax.random.key(0)))
    >>> {name: array.shape for name, array in weights.items()}
    {'kernel': (2, 9), 'recurrent_kernel': (3, 9), 'bias': (2, 9)}

    Args:
      cell: cell as for `from_keras`.
      params: parameters of `cell`.

    Returns:
      Arrays by name, in the order of `layer.weights`.

    Raises:
      ValueError: if `params` do not belong to `cell`, or Keras has no such cell.
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
    """Converts the order of gates from r z n to z r n, and back."""
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
