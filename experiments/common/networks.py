"""Networks by name, on a task's sizes: the registered cells, their other beginnings, and a user's own."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.common.command_line import UserError
from rnn_jax import Cell, ReadoutModel, Stack, cells, diagnostics, initializers, tasks

# Cells that begin otherwise than in `cells.CELLS`, of (input size, units, the longest lag that the task asks for).
BEGINNINGS: dict[str, Callable[[int, int, int], Cell]] = {
    "lstm_bias_0": lambda d, h, _: cells.LSTM(d, h, forget_bias=0.0),
    "lstm_bias_1": lambda d, h, _: cells.LSTM(d, h, forget_bias=1.0),
    "lstm_bias_5": lambda d, h, _: cells.LSTM(d, h, forget_bias=5.0),
    "lstm_bias_10": lambda d, h, _: cells.LSTM(d, h, forget_bias=10.0),
    "lstm_chrono": lambda d, h, lag: cells.LSTM(d, h, forget_bias=initializers.Chrono(lag)),
    "gru_chrono": lambda d, h, lag: cells.GRU(d, h, update_bias=initializers.Chrono(lag)),
}


def make(name: str, task: tasks.Task, hidden_size: int, layers: int = 1) -> ReadoutModel:
    """The network called `name`, with a readout for the task.

    Args:
      name: a key of `cells.CELLS` or `BEGINNINGS`, or `module:Class`, called as (input_size, hidden_size).
      task: gives the sizes, and the longest lag.
      hidden_size: units of each layer.
      layers: how many, one above the other.

    Raises:
      UserError: where there is no such network, it cannot be made, or it is not a hashable `rnn_jax.Cell`.
    """
    found = cells_of(name, task.input_size, hidden_size, task.dependency, layers)
    return ReadoutModel(found[0] if layers == 1 else Stack(found), task.output_size)


def cells_of(name: str, input_size: int, hidden_size: int, lag: int, layers: int) -> tuple[Cell, ...]:
    """The cells of the network called `name`, the lowest first; arguments and errors as `make`."""
    found = [_cell(name, input_size, hidden_size, lag)]
    for _ in range(layers - 1):
        found.append(_cell(name, found[-1].output_size, hidden_size, lag))
    return tuple(found)


def _cell(name: str, input_size: int, hidden_size: int, lag: int) -> Cell:
    try:
        if name in BEGINNINGS:
            return BEGINNINGS[name](input_size, hidden_size, lag)
        factory = cells.find(name)
    except ValueError as error:
        raise UserError(str(error).replace(", and your own", f", {', '.join(BEGINNINGS)}, and your own")) from error
    try:
        cell = factory(input_size, hidden_size)
    except Exception as error:  # a user's own code
        raise UserError(f"cell {name!r} cannot be made as (input_size, hidden_size): {error}") from error
    if not isinstance(cell, Cell):
        raise UserError(f"cell {name!r} must make a rnn_jax.Cell, got {type(cell).__name__}")
    try:
        hash(cell)
    except TypeError as error:
        raise UserError(f"cell {name!r} must be hashable, as cells are compared by value: {error}") from error
    return cell


def check(name: str, model: ReadoutModel, task: tasks.Task) -> None:
    """Traces what is done with a network, so that what a user's own raises is told before anything is written.

    Raises:
      UserError: with the name and what was raised.
    """
    xs = jax.ShapeDtypeStruct((task.sequence_length, 1, task.input_size), jnp.result_type(float))

    def gradients(key: jax.Array, xs: jax.Array) -> Any:
        params = model.init(key)
        model.apply(params, xs)  # first, as its messages are the plainer ones
        return diagnostics.state_gradients(model.cell, params.cell, xs, lambda hs: jnp.sum(model.read(params, hs)))

    try:
        jax.eval_shape(gradients, jax.random.key(0), xs)
    except Exception as error:  # a user's own code
        raise UserError(f"cell {name!r} cannot be unrolled: {type(error).__name__}: {error}") from error
