"""Eigenvalues of a cell's recurrent matrix."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.cell import Cell, Params
from rnn_jax.diagnostics.coordinates import ravel


def recurrent_blocks(cell: Cell, params: Params) -> list[np.ndarray]:
    """Returns the square matrices that map one state to the next, in row convention (new = old @ block).

    Args:
      cell: the cell; static.
      params: parameters of the cell.

    Returns:
      For a `SplitCell`, whose `recurrent` is linear in the state, the blocks [H, H] of W_h, one for each gate. For any
      other cell one matrix [n, n], the transposed Jacobian of `step` at the initial state and zero input; n counts all
      components of the state, complex units twice.
    """
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
    flat, unflatten = ravel(state)
    drive = cell.project(params, jnp.zeros(cell.input_size, flat.dtype))
    return [jax.jacobian(lambda s: ravel(cell.step(params, unflatten(s), drive))[0])(flat)]


def spectral_radius(cell: Cell, params: Params) -> float:
    """Returns the largest |eigenvalue| of all blocks of the recurrent matrix (`recurrent_blocks`).

    >>> import jax, rnn_jax
    >>> cell = rnn_jax.VanillaRNN(2, 3, recurrent_init=rnn_jax.initializers.ScaledIdentity(0.5))
    >>> spectral_radius(cell, cell.init(jax.random.key(0)))
    0.5
    """
    return max(float(np.max(np.abs(np.linalg.eigvals(block)))) for block in recurrent_blocks(cell, params))
