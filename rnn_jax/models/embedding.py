"""Embedded ids at the scale that cells expect of their inputs."""

from typing import Any

import jax

from rnn_jax.data import Encoder


def scaled(encoder: Encoder, params: Any, ids: Any) -> jax.Array:
    """Returns sqrt(n) E_id, [*ids.shape, n], with E the encoder's table [size, n].

    Rows of a table are drawn with norm 1, and cells draw their input weights for features of variance 1: hence sqrt(n),
    as in Vaswani et al. 2017 (arXiv:1706.03762), section 3.4. `Encoded` does the same with unit vectors.

    Args:
      encoder: `OneHot` or `Embedding`.
      params: parameters of the encoder.
      ids: integers of any shape.

    Raises:
      TypeError, ValueError: as `Encoder.apply`.
    """
    return encoder.features**0.5 * encoder.apply(params, ids)
