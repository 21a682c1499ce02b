"""The contract of an engine: on the cells that it takes, all properties of an unroll, and equality to `Scan`."""

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp

from rnn_jax import cells
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import Engine
from rnn_jax.layers import LearnedInitialState
from rnn_jax.testing.cells import (
    UNROLL,
    compiled,
    gradients,
    inputs,
    moved_params,
    moved_state,
    segments,
    takes,
)
from rnn_jax.testing.comparison import Check, require, require_close, require_value, run_all

# One of each kind: split with one component and with two, plain, linear and real, linear and complex, wrapped.
CELLS: tuple[Cell, ...] = (
    cells.VanillaRNN(2, 3),
    cells.LSTM(2, 3),
    cells.GRUResetBefore(2, 3),
    cells.LinearRNN(2, 3),
    cells.LRU(2, 3),
    LearnedInitialState(cells.GRU(2, 3)),
)


def check_engine(engine: Engine, over: Sequence[Cell] = CELLS) -> None:
    """Checks the contract of an engine on every cell that it takes.

    >>> from rnn_jax import GRU, Scan, testing
    >>> testing.check_engine(Scan(unroll=2), [GRU(2, 3)])

    Args:
      engine: engine to check.
      over: cells with small sizes; those that the engine refuses, with a TypeError that names it, are left out.

    Raises:
      ContractError: if a property does not hold, or the engine takes none of the cells; the message is one sentence.
    """
    run_all(checks(engine, over))


def checks(engine: Engine, over: Sequence[Cell] = CELLS) -> Iterator[Check]:
    """Yields the checks of an engine on every cell that it takes."""
    require_value(engine)
    taken = [cell for cell in over if takes(engine, cell)]
    require(taken, f"{engine} refuses every cell: {', '.join(type(cell).__name__ for cell in over)}")
    for cell in taken:
        for check in (states, *UNROLL, segments, gradients):
            yield Check.of(str(engine), check, cell, engine, suffix=f": {type(cell).__name__}")


def states(cell: Cell, engine: Engine) -> None:
    """The engine returns the state after every step, the final one last, for any number of steps, 0 included."""
    params, state = moved_params(cell), moved_state(cell, 2)
    for steps in (0, 1, 5):
        solve = compiled(_solve, (0, 1))
        final_state, all_states = jax.device_get(solve(engine, cell, params, state, inputs(cell, steps, 2)))
        name = f"{engine} on {type(cell).__name__}, {steps} steps"
        expected = jax.tree.map(lambda s, n=steps: jax.ShapeDtypeStruct((n, *s.shape), s.dtype), state)
        shapes = jax.tree.map(lambda s: jax.ShapeDtypeStruct(jnp.shape(s), s.dtype), all_states)
        require(shapes == expected, f"{name}: states must be [T, *batch, ...], expected {expected}, got {shapes}")
        last = jax.tree.map(lambda s: s[-1], all_states) if steps else state
        require_close(f"{name}: the final state must be the last one", final_state, last)


def _solve(engine: Engine, cell: Cell, params: Params, state: State, xs: jax.Array) -> tuple[State, State]:
    return engine(cell, params, state, xs)
