"""How many iterations Newton's method takes for a sequence (`rnn_jax.engines.Newton`), and what the loop had to run."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import masking
from rnn_jax.cell import Cell, Params, State
from rnn_jax.engines import Newton, Scan
from rnn_jax.unrolling import checked, unroll


class NewtonIterations(NamedTuple):
    """Statistics of one solution, of its slowest sequence; [chunks, ...] if the engine has chunks."""

    iterations: jax.Array  # []
    residuals: jax.Array  # [max_iterations + 1], largest residual before each iteration and at the end, then NaN
    looped: jax.Array  # [], number of steps that the loop had to run


def newton_iterations(
    cell: Cell,
    params: Params,
    xs: jax.Array,
    state: State | None = None,
    *,
    engine: Newton = Newton(),
    lengths: Any = None,
    resets: Any = None,
) -> NewtonIterations:
    """Returns the number of iterations of `unroll(..., engine=Newton(), key=None)`, and the residuals by iteration.

    >>> import jax, jax.numpy as jnp, rnn_jax
    >>> cell = rnn_jax.GRU(2, 3)
    >>> result = newton_iterations(cell, cell.init(jax.random.key(0)), jnp.ones((100, 2)))
    >>> int(result.iterations), int(result.looped)
    (3, 0)

    Args:
      cell: cell; static.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size].
      state: state before the first step; None means `cell.initial_state`.
      engine: Newton's method and its options; static.
      lengths: as in `rnn_jax.unroll`.
      resets: as in `rnn_jax.unroll`.

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`.
    """
    given = checked(cell, params, xs, state, lengths=lengths, resets=resets)
    flagged = masking.Flagged(given.xs, given.valid, given.resets)
    return _newton_iterations(cell, engine, params, given.state, flagged)


@functools.partial(jax.jit, static_argnames=("cell", "engine"))
def _newton_iterations(
    cell: Cell, engine: Newton, params: Params, state: State, xs: masking.Flagged
) -> NewtonIterations:
    plain = xs.valid is None and xs.reset is None
    _, solution = engine.solve(*((cell, params, state, xs.x) if plain else (masking.Masked(cell), params, state, xs)))
    return NewtonIterations(solution.iterations, solution.residuals, solution.looped)


def newton_errors(cell: Cell, params: Params, xs: jax.Array, *, most: int = 8) -> list[float]:
    """Returns max |y - y_Scan| of the first guess and of each iterate, on a sequence that Newton solves.

    >>> import jax, jax.numpy as jnp, rnn_jax
    >>> cell = rnn_jax.GRU(2, 3)
    >>> first, *_, last = newton_errors(cell, cell.init(jax.random.key(0)), jnp.ones((100, 2)))
    >>> first > 0.1, last < 1e-6
    (True, True)

    Args:
      cell: cell.
      params: parameters of the cell.
      xs: inputs [T, *batch, input_size].
      most: number of iterates at most, the first guess included.

    Raises:
      TypeError, ValueError: as `rnn_jax.unroll`.
    """
    exact = unroll(cell, params, xs, engine=Scan())[1]
    residuals = np.asarray(newton_iterations(cell, params, xs).residuals)
    errors = []
    for residual in residuals[np.isfinite(residuals)][:most]:
        # Newton ends with the first iterate whose residual is within the tolerance.
        ys = unroll(cell, params, xs, engine=Newton(tolerance=max(1.001 * float(residual), 1e-7)))[1]
        errors.append(float(jnp.max(jnp.abs(ys - exact))))
    return errors
