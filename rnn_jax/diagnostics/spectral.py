"""The eigenvalues of a cell's recurrent matrix."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax.cell import Cell, Params
from rnn_jax.diagnostics.coordinates import ravel


def recurrent_blocks(cell: Cell, params: Params) -> list[np.ndarray]:
    """The square matrices [n, n] that take one state to the next, in row convention (new = old @ block).

    For a cell with `recurrent`, which is linear in the state, they are the blocks of its matrix W_h, one a gate, [H,
    H]. For any other cell it is the one transposed Jacobian of `step` at the initial state under zero input, n counting
    all of the state, complex units twice.
    """
    jacobians = [np.asarray(matrix) for matrix in _jacobians(cell, params)]
    # A component that does not enter the product, as an LSTM's c, has a zero matrix and adds nothing.
    return [block.T for matrix in jacobians for block in np.split(matrix, matrix.shape[0] // matrix.shape[1])]


@functools.partial(jax.jit, static_argnames="cell")
def _jacobians(cell: Any, params: Params) -> list[jax.Array]:
    """Of the recurrent product (gates stacked) by each component of the state, or of the step by the whole state."""
    state = cell.initial_state(params)
    if cell.is_split:
        matrices = jax.tree.leaves(jax.jacrev(lambda s: cell.recurrent(params, s), allow_int=True)(state))
        return [matrix for matrix in matrices if matrix.dtype != jax.dtypes.float0]
    flat, unflatten = ravel(state)
    drive = cell.project(params, jnp.zeros(cell.input_size, flat.dtype))
    return [jax.jacobian(lambda s: ravel(cell.step(params, unflatten(s), drive))[0])(flat)]


def spectral_radius(cell: Cell, params: Params) -> float:
    """The largest |eigenvalue| over the blocks of the recurrent matrix (`recurrent_blocks`)."""
    return max(float(np.max(np.abs(np.linalg.eigvals(block)))) for block in recurrent_blocks(cell, params))
