"""A cell's state as one real vector, complex components by their two parts: what a Jacobian is taken in."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import flatten_util

from rnn_jax.cell import State


def ravel(state: State) -> tuple[jax.Array, Callable[[jax.Array], State]]:
    """The vector, and the way back from one.

    A complex unit that is multiplied by lambda has, in these coordinates, a block with the eigenvalues lambda and its
    conjugate.
    """

    def parts(leaf: jax.Array) -> tuple[jax.Array, jax.Array] | jax.Array:
        return (leaf.real, leaf.imag) if jnp.iscomplexobj(leaf) else leaf

    flat, unflatten = flatten_util.ravel_pytree(jax.tree.map(parts, state))

    def back(flat: jax.Array) -> State:
        return jax.tree.map(
            lambda leaf, own: jax.lax.complex(*own) if jnp.iscomplexobj(leaf) else own, state, unflatten(flat)
        )

    return flat, back
