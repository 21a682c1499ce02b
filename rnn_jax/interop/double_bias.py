"""Conversion of the GRU's two biases per gate in PyTorch and Keras (and cuDNN) to the biases b and b_hn of `GRU`.

b_i is added to the input's product and b_h to the state's. At the gates r and z only their sum matters, which is b
here. At the candidate n, b_h is inside the product with the reset gate, as b_hn is here. The order of gates is r z n.
"""

import jax
import jax.numpy as jnp


def join(b_i: jax.Array, b_h: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns b [3H] and b_hn [H] from b_i and b_h, [3H] each."""
    b_hrz, b_hn = jnp.split(b_h, [2 * (b_h.size // 3)])
    return b_i + jnp.concatenate([b_hrz, jnp.zeros_like(b_hn)]), b_hn


def split(b: jax.Array, b_hn: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns b_i and b_h from b and b_hn, with b_h = 0 at r and z; `join` is its inverse."""
    return b, jnp.concatenate([jnp.zeros_like(b_hn), jnp.zeros_like(b_hn), b_hn])
