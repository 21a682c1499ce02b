"""A dense layer from an encoder's features to the initial state of a decoder's cell: tanh(n W + b), cut into leaves.

Bahdanau et al. 2015 (arXiv:1409.0473), appendix A.2.2, generalised to states of several leaves and of complex numbers.
"""

from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax.cell import State
from rnn_jax.models import dense


def flatten(state: State) -> jax.Array:
    """Returns all real numbers of a state as one vector [*batch, n]; a complex number counts as two."""
    parts = []
    for leaf in jax.tree.leaves(state):
        parts += [leaf.real, leaf.imag] if jnp.iscomplexobj(leaf) else [leaf]
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
        parts = []
        for _ in range(_reals(leaf)):
            parts.append(flat[..., start : start + leaf.shape[-1]])
            start += leaf.shape[-1]
        leaves.append(parts[0] if len(parts) == 1 else jax.lax.complex(*parts))
    return jax.tree.unflatten(jax.tree.structure(state_shapes), leaves)


def _reals(leaf: Any) -> int:
    """Returns the number of real numbers in one number of a leaf: 2 if it is complex."""
    return 1 + int(jnp.issubdtype(leaf.dtype, jnp.complexfloating))


def _size(state_shapes: Any) -> int:
    return sum(leaf.shape[-1] * _reals(leaf) for leaf in jax.tree.leaves(state_shapes))
