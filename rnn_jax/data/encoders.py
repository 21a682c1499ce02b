"""Ids to vectors: interchangeable front ends of a cell, whose input_size is the encoder's `features`.

An id out of range never passes for another: where ids can be read it is refused; where they are traced (under jit, vmap
or scan) its row is NaN, whatever the encoder. Reading ids that lie on an accelerator waits for them; jit avoids that.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks


@dataclasses.dataclass(frozen=True)
class OneHot:
    """The id-th unit vector; no parameters.

    Args:
      size: ids are in [0, size): `len` of a vocabulary.

    Raises:
      ValueError: where it is not a positive integer.
    """

    size: int

    def __post_init__(self) -> None:
        checks.integer_at_least(1, self.size, "OneHot: size")

    @property
    def features(self) -> int:
        return self.size

    def init(self, key: jax.Array) -> tuple[()]:
        del key
        return ()

    def apply(self, params: tuple[()], ids: Any) -> jax.Array:
        """The vectors [*ids.shape, features] of ids, integers of any shape, in JAX's default float type.

        Raises:
          TypeError: where ids are not integers.
          ValueError: where an id that can be read is not in [0, size).
        """
        del params
        places, known = _checked(ids, self.size, "OneHot")
        return jnp.where(known[..., None], jax.nn.one_hot(places, self.size), jnp.nan)

    def apply_one_hot(self, params: tuple[()], x: jax.Array) -> jax.Array:
        """The vectors of ids that are given as unit vectors x [..., size] already."""
        del params
        return x


@dataclasses.dataclass(frozen=True)
class Embedding:
    """The id-th row of a table that is learned; its parameters are those of flax.linen.Embed.

    Args:
      size: ids are in [0, size): `len` of a vocabulary.
      features: width of a row.

    Raises:
      ValueError: where one is not a positive integer.
    """

    size: int
    features: int

    def __post_init__(self) -> None:
        for name in ("size", "features"):
            checks.integer_at_least(1, getattr(self, name), f"Embedding: {name}")

    def init(self, key: jax.Array) -> Any:
        """Draws {"params": {"embedding": [size, features]}}, in JAX's default float type."""
        return self._embed().init(key, jnp.zeros(1, jnp.int32))

    def apply(self, params: Any, ids: Any) -> jax.Array:
        """The rows [*ids.shape, features] of ids, integers of any shape; errors as `OneHot.apply`."""
        places, known = _checked(ids, self.size, "Embedding")
        # Flat: flax's Embed of size 1 takes no scalar id.
        rows: Any = self._embed().apply(params, places.ravel())
        return jnp.where(known[..., None], rows.reshape(*places.shape, self.features), jnp.nan)

    def apply_one_hot(self, params: Any, x: jax.Array) -> jax.Array:
        """The rows [..., features] of ids that are given as unit vectors x [..., size]: the product with the table."""
        return x @ params["params"]["embedding"]

    def _embed(self) -> nn.Embed:
        return nn.Embed(self.size, self.features, param_dtype=jnp.result_type(float))


# Any of them.
Encoder = OneHot | Embedding


def _checked(ids: Any, size: int, who: str) -> tuple[jax.Array, jax.Array]:
    """Returns int32 places in [0, size), and where they are the ids; both of ids' shape."""
    if not isinstance(ids, jax.core.Tracer):
        ids = np.asarray(ids)
    if not jnp.issubdtype(ids.dtype, jnp.integer):
        raise TypeError(f"{who}: ids must be integers, got {ids.dtype}")
    # In the ids' own dtype: a conversion could wrap an id into the range. int8 cannot hold a larger size.
    known = (ids >= 0) & (ids <= min(size - 1, jnp.iinfo(ids.dtype).max))
    if not isinstance(ids, jax.core.Tracer) and not np.all(known):
        raise ValueError(f"{who}: ids must be in [0, {size}), got {ids[~known][0]}")
    return jnp.where(known, ids, 0).astype(jnp.int32), jnp.asarray(known)
