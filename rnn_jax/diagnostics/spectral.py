"""Eigenvalues of a cell's recurrent matrix."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import parameters
from rnn_jax.cell import Cell, Params, State
from rnn_jax.coordinates import ravel
from rnn_jax.trees import floats, refill


def recurrent_blocks(cell: Cell, params: Params) -> list[np.ndarray]:
    """Returns the square matrices that map one state to the next, in row convention (new = old @ block).

    Args:
      cell: the cell; static.
      params: parameters of the cell.

    Returns:
      For a `SplitCell`, whose `recurrent` is linear in the state, the blocks [H, H] of W_h, one for each gate. For any
      other cell one matrix [n, n], the transposed Jacobian of `step` at the initial state and zero input; n counts all
      floating-point components of the state, complex units twice. ReLUs without a bias are at their kink there: each
      derivative is the larger one of both sides, so it is W_h, as of the same cell written as a `SplitCell`.
    """
    parameters.check(cell, params)
    jacobians = [np.asarray(matrix) for matrix in _jacobians(cell, params)]
    # A component that does not enter the product, as an LSTM's c, has a zero matrix, with eigenvalues 0.
    return [block.T for matrix in jacobians for block in np.split(matrix, matrix.shape[0] // matrix.shape[1])]


@functools.partial(jax.jit, static_argnames="cell")
def _jacobians(cell: Any, params: Params) -> list[jax.Array]:
    """Returns the Jacobians of the recurrent product by each component of the state, or of the step by the state."""
    state = cell.initial_state(params)
    if cell.is_split:
        matrices = jax.tree.leaves(jax.jacrev(lambda s: cell.recurrent(params, s), allow_int=True)(state))
        return [matrix for matrix in matrices if matrix.dtype != jax.dtypes.float0]
    return [_larger_slopes(cell, params, state)]


def _larger_slopes(cell: Cell, params: Params, state: State) -> jax.Array:
    """Returns the Jacobian [n, n] of the step at zero input; at a kink, each entry is the larger one-sided slope."""
    flat, unravel = ravel(floats(state))
    drive = cell.project(params, jnp.zeros(cell.input_size, flat.dtype))
    nudge = math.sqrt(
        jnp.finfo(flat.dtype).tiny
    )  # changes no smooth function, and not the initial state unless it is 0

    def step(flat: jax.Array) -> jax.Array:
        return ravel(floats(cell.step(params, refill(state, unravel(flat)), drive)))[0]

    def slopes(direction: jax.Array) -> jax.Array:
        right, left = (jax.jvp(step, (flat + side * nudge * direction,), (direction,))[1] for side in (1, -1))
        return jnp.where(jnp.abs(right) >= jnp.abs(left), right, left)

    return jax.vmap(slopes, out_axes=1)(jnp.eye(len(flat), dtype=flat.dtype))


def spectral_radius(cell: Cell, params: Params) -> float:
    """Returns the largest |eigenvalue| of all blocks of the recurrent matrix (`recurrent_blocks`).

    >>> import jax, rnn_jax
    >>> cell = rnn_jax.VanillaRNN(2, 3, recurrent_init=rnn_jax.initializers.ScaledIdentity(0.5))
    >>> spectral_radius(cell, cell.init(jax.random.key(0)))
    0.5
    """
    return max(float(np.max(np.abs(np.linalg.eigvals(block)))) for block in recurrent_blocks(cell, params))
