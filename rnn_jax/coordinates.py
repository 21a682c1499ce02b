"""A cell's state as one real vector, the coordinates in which Jacobians are computed."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import flatten_util

from rnn_jax.cell import State


def ravel(state: State) -> tuple[jax.Array, Callable[[jax.Array], State]]:
    """Flattens a state to a real vector; a complex component becomes its real and its imaginary part.

    In these coordinates multiplication of a complex unit by lambda has the eigenvalues lambda and its conjugate.

    Args:
      state: pytree of floating-point or complex arrays.

    Returns:
      The vector [n], and the function that turns such a vector back into a state.
    """

    def parts(leaf: jax.Array) -> tuple[jax.Array, jax.Array] | jax.Array:
        return (leaf.real, leaf.imag) if jnp.iscomplexobj(leaf) else leaf

    flat, unflatten = flatten_util.ravel_pytree(jax.tree.map(parts, state))

    def unravel(flat: jax.Array) -> State:
        return jax.tree.map(
            lambda leaf, value: jax.lax.complex(*value) if jnp.iscomplexobj(leaf) else value, state, unflatten(flat)
        )

    return flat, unravel
