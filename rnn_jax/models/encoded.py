"""A cell behind an encoder: it reads ids as unit vectors, and the encoder is trained with it."""

import dataclasses
from typing import Any, NamedTuple

import jax

from rnn_jax import noise
from rnn_jax.cell import Params, State
from rnn_jax.data import Encoder
from rnn_jax.layer import Layer, UnrollOptions
from rnn_jax.unrolling import unroll
from rnn_jax.wrapper import Wrapper


class EncodedParams(NamedTuple):
    """Parameters of the encoder and of the cell behind it."""

    encoder: Any
    cell: Params


@dataclasses.dataclass(frozen=True)
class Encoded(Wrapper, Layer):
    """Any cell, reading sqrt(n) E^T x_t with x_t the unit vector of an id and E the encoder's table [size, n].

    `OneHot`'s table is the identity. A row of a table is a linear function of a unit vector, so this is a cell like any
    other, with floating-point inputs [..., encoder.size], and every estimator and diagnostic applies to it.

    The rows of either encoder have norm 1 at first, and cells draw their input weights for features of variance 1:
    hence sqrt(n), as in Vaswani et al. 2017 (arXiv:1706.03762), section 3.4. Without it the input is weak, and a
    character model needs 200 steps for what it learns in 50.

    >>> from rnn_jax import LSTM
    >>> from rnn_jax.data import Embedding
    >>> cell = Encoded(LSTM(4, 3), Embedding(size=10, features=4))
    >>> cell.input_size, cell.is_split
    (10, True)

    Args:
      cell: a cell or layer that reads the encoder's features.
      encoder: encoder of the ids.

    Raises:
      TypeError: if `cell` is not a cell or layer, or `encoder` not an encoder.
      ValueError: if the cell does not read as many features as the encoder gives.
    """

    encoder: Encoder

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.encoder, Encoder):
            raise TypeError(f"Encoded: encoder must be a OneHot or an Embedding, got {self.encoder!r}")
        if self.cell.input_size != self.encoder.features:
            raise ValueError(
                f"Encoded: cell must read the {self.encoder.features} features of {self.encoder!r}, got "
                f"{type(self.cell).__name__} of input_size {self.cell.input_size}"
            )
        object.__setattr__(self, "input_size", self.encoder.size)

    def inner_params(self, params: EncodedParams) -> Params:
        return params.cell

    def inner_input(self, params: EncodedParams, x: Any) -> Any:
        x, drawn = noise.split(x)
        return noise.join(self.encoder.features**0.5 * self.encoder.apply_one_hot(params.encoder, x), drawn)

    def init(self, key: jax.Array) -> EncodedParams:
        key_encoder, key_cell = jax.random.split(key)
        return EncodedParams(self.encoder.init(key_encoder), self.cell.init(key_cell))

    def unroll(self, params: EncodedParams, xs: Any, state: State, options: UnrollOptions) -> tuple[State, Any]:
        return unroll(self.cell, params.cell, self.inner_input(params, xs), state, **options.keywords())
