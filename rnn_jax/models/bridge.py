"""A dense layer from an encoder's features to the initial state of a decoder's cell: tanh(n W + b), cut into leaves.

Bahdanau et al. 2015 (arXiv:1409.0473), appendix A.2.2, generalised to states of several leaves, of
matrices and of complex numbers; a counter starts at 0.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import State
from rnn_jax.models import dense


def flatten(state: State, batch_dims: int) -> jax.Array:
    """Returns all real numbers of a state as one vector [*batch, n]; a complex number counts as two, an integer not."""
    parts = []
    for leaf in jax.tree.leaves(state):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            vector = jnp.reshape(leaf, (*leaf.shape[:batch_dims], -1))
            parts += [vector.real, vector.imag] if jnp.iscomplexobj(leaf) else [vector]
    return jnp.concatenate(parts, axis=-1)


def init(key: jax.Array, size: int, state_shapes: Any) -> Any:
    """Draws W and b, flax.linen.Dense variables.

    Args:
      key: random key of the draw.
      size: n, number of features.
      state_shapes: state to be made, without batch dimensions: arrays or `jax.ShapeDtypeStruct`s.
    """
    return dense.init(key, _size(state_shapes), jax.ShapeDtypeStruct((size,), jnp.result_type(float)))


def apply(params: Any, features: jax.Array, state_shapes: Any) -> State:
    """Returns the state, leaves [*batch, ...], made of features [*batch, n]; state_shapes as in `init`."""
    flat = jnp.tanh(dense.apply(params, _size(state_shapes), features))
    leaves, start = [], 0
    for leaf in jax.tree.leaves(state_shapes):
        shape, size = (*flat.shape[:-1], *leaf.shape), math.prod(leaf.shape)
        parts = []
        for _ in range(_reals(leaf)):
            parts.append(jnp.reshape(flat[..., start : start + size], shape))
            start += size
        if not parts:
            leaves.append(jnp.zeros(shape, leaf.dtype))
        else:
            leaves.append(parts[0] if len(parts) == 1 else jax.lax.complex(*parts))
    return jax.tree.unflatten(jax.tree.structure(state_shapes), leaves)


def _reals(leaf: Any) -> int:
    """Returns the number of real numbers in one number of a leaf: 2 if it is complex, 0 if it is an integer."""
    return int(jnp.issubdtype(leaf.dtype, jnp.inexact)) + int(jnp.issubdtype(leaf.dtype, jnp.complexfloating))


def _size(state_shapes: Any) -> int:
    return sum(math.prod(leaf.shape) * _reals(leaf) for leaf in jax.tree.leaves(state_shapes))
