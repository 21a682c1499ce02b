"""From an encoder's numbers to the state that a decoder's cell begins with: tanh(n W + b), cut into the state's leaves.

Bahdanau et al. 2015 (arXiv:1409.0473), appendix A.2.2, for any state: of several leaves, of complex numbers.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax.cell import State


def numbers(state: State) -> jax.Array:
    """All real numbers of a state [*batch, n], side by side; a complex one is two."""
    parts = []
    for leaf in jax.tree.leaves(state):
        parts += [leaf.real, leaf.imag] if jnp.iscomplexobj(leaf) else [leaf]
    return jnp.concatenate(parts, axis=-1)


def init(key: jax.Array, size: int, wanted: Any) -> Any:
    """Draws W and b, flax.linen.Dense variables.

    Args:
      key: of the draw.
      size: n.
      wanted: the state to be, without batch dimensions: arrays or `jax.ShapeDtypeStruct`s.
    """
    return _dense(wanted).init(key, jnp.zeros(size, jnp.result_type(float)))


def apply(params: Any, given: jax.Array, wanted: Any) -> State:
    """The state [*batch, ...] that numbers [*batch, n] give; arguments as `init`'s."""
    dense: Any = _dense(wanted).apply(params, given)
    crossed = jnp.tanh(dense)
    leaves, start = [], 0
    for leaf in jax.tree.leaves(wanted):
        parts = []
        for _ in range(_reals(leaf)):
            parts.append(crossed[..., start : start + leaf.shape[-1]])
            start += leaf.shape[-1]
        leaves.append(parts[0] if len(parts) == 1 else jax.lax.complex(*parts))
    return jax.tree.unflatten(jax.tree.structure(wanted), leaves)


def _reals(leaf: Any) -> int:
    """Real numbers of one of a leaf's."""
    return 1 + int(jnp.issubdtype(leaf.dtype, jnp.complexfloating))


def _dense(wanted: Any) -> nn.Dense:
    sizes = [leaf.shape[-1] * _reals(leaf) for leaf in jax.tree.leaves(wanted)]
    return nn.Dense(sum(sizes), param_dtype=jnp.result_type(float))
