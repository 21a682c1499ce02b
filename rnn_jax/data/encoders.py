"""Ids to vectors: interchangeable encoders in front of a cell, whose input_size is the encoder's `features`.

An id out of range is never silently replaced by another. Concrete ids raise an error; traced ids (under jit, vmap or
scan) give a row of NaN. Checking concrete ids on an accelerator waits for their transfer; under jit there is no wait.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from rnn_jax import checks, integers
from rnn_jax.static import Static


@dataclasses.dataclass(frozen=True)
class OneHot(Static):
    """Encodes an id as a unit vector; has no parameters.

    >>> from rnn_jax import data
    >>> data.OneHot(3).apply((), [2, 0]).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]

    Args:
      size: number of ids, which are in [0, size): `len` of a vocabulary.

    Raises:
      ValueError: if size is not a positive integer.
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
        """Returns the vectors of ids.

        Args:
          params: the empty tuple.
          ids: integers of any shape.

        Returns:
          Vectors [*ids.shape, features] in JAX's default float type.

        Raises:
          TypeError: if ids are not integers.
          ValueError: if a concrete id is not in [0, size).
        """
        del params
        rows, valid = _checked(ids, self.size, "OneHot")
        return jnp.where(valid[..., None], jax.nn.one_hot(rows, self.size), jnp.nan)

    def apply_one_hot(self, params: tuple[()], x: jax.Array) -> jax.Array:
        """Returns x [..., size] itself: ids that are unit vectors already."""
        del params
        return x


@dataclasses.dataclass(frozen=True)
class Embedding(Static):
    """Encodes an id as a row of a learned table; its parameters are those of `flax.linen.Embed`.

    >>> import jax
    >>> from rnn_jax import data
    >>> encoder = data.Embedding(size=27, features=16)
    >>> encoder.apply(encoder.init(jax.random.key(0)), [[1, 2, 3], [4, 5, 6]]).shape
    (2, 3, 16)

    Args:
      size: number of ids, which are in [0, size): `len` of a vocabulary.
      features: width of a row.

    Raises:
      ValueError: if size or features is not a positive integer.
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
        """Returns the rows [*ids.shape, features] of ids, integers of any shape; raises as `OneHot.apply`."""
        rows, valid = _checked(ids, self.size, "Embedding")
        # Flattened, because an Embed of size 1 rejects scalar ids (flax 0.12).
        vectors: Any = self._embed().apply(params, rows.ravel())
        return jnp.where(valid[..., None], vectors.reshape(*rows.shape, self.features), jnp.nan)

    def apply_one_hot(self, params: Any, x: jax.Array) -> jax.Array:
        """Returns the rows [..., features] of ids given as unit vectors x [..., size]: the product with the table."""
        return x @ params["params"]["embedding"]

    def _embed(self) -> nn.Embed:
        return nn.Embed(self.size, self.features, param_dtype=jnp.result_type(float))


Encoder = OneHot | Embedding


def _checked(ids: Any, size: int, who: str) -> tuple[jax.Array, jax.Array]:
    """Returns row numbers, int32 in [0, size), and a mask of the valid ids; both have the shape of ids."""
    ids = jnp.asarray(integers.int32(ids, f"{who}: ids", size))
    valid = (ids >= 0) & (ids < size)
    return jnp.where(valid, ids, 0), valid
