"""The GRU's two biases a gate, cuDNN's form, which PyTorch and Keras follow: b_i from the input, b_h from the state.

r and z take their sum, and so does our b; the candidate's b_h stands inside the reset product, as our b_hn does. All
gates are in the order r z n.
"""

import jax
import jax.numpy as jnp


def join(b_i: jax.Array, b_h: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Our b [3H] and b_hn [H] from theirs, [3H] each."""
    b_hrz, b_hn = jnp.split(b_h, [2 * (b_h.size // 3)])
    return b_i + jnp.concatenate([b_hrz, jnp.zeros_like(b_hn)]), b_hn


def split(b: jax.Array, b_hn: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Theirs from ours; of r and z all in b_i. `join` gives back the arguments."""
    return b, jnp.concatenate([jnp.zeros_like(b_hn), jnp.zeros_like(b_hn), b_hn])
