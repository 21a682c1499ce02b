"""A cell behind an encoder: it reads ids, given as unit vectors, and the encoder's parameters are learned with it."""

import dataclasses
from typing import Any, NamedTuple

import jax

from rnn_jax import noise
from rnn_jax.cell import Params, State
from rnn_jax.data import Encoder
from rnn_jax.layer import Layer, Walk
from rnn_jax.linear import Transition
from rnn_jax.unrolling import unroll
from rnn_jax.wrapper import Advance, Wrapper


class EncodedParams(NamedTuple):
    """Parameters of the encoder and of the cell behind it."""

    encoder: Any
    cell: Params


@dataclasses.dataclass(frozen=True)
class Encoded(Wrapper, Layer):
    """Any cell reading sqrt(n) E^T x_t, with x_t the unit vector of an id and E the encoder's table [size, n].

    `OneHot`'s table is the identity. A row of a table is a linear function of a unit vector: so what reads ids is a
    cell like others, that takes floating point inputs [..., encoder.size], and every estimator and diagnostic takes it
    as it is.

    The rows of either encoder have norm 1 at the start, and cells draw their input weights for features of variance 1:
    hence sqrt(n), as in Vaswani et al. 2017 (arXiv:1706.03762), section 3.4. Without it the input is faint, and what a
    character model learns in 50 steps takes it 200.

    Args:
      cell: a cell or layer that reads the encoder's features.
      encoder: of the ids.

    Raises:
      TypeError: where `cell` is no cell or layer, or `encoder` no encoder.
      ValueError: where the cell does not read as many features as the encoder gives.
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

    def init(self, key: jax.Array) -> EncodedParams:
        key_encoder, key_cell = jax.random.split(key)
        return EncodedParams(self.encoder.init(key_encoder), self.cell.init(key_cell))

    def initial_state(self, params: EncodedParams, batch_shape: tuple[int, ...] = ()) -> State:
        return self.cell.initial_state(params.cell, batch_shape)

    def unroll(self, params: EncodedParams, xs: Any, state: State, walk: Walk) -> tuple[State, Any]:
        return unroll(self.cell, params.cell, self._encode(params, xs), state, **walk._asdict())

    def project(self, params: EncodedParams, x: Any) -> Any:
        return self.cell.project(params.cell, self._encode(params, x))

    def around(self, params: EncodedParams, state: State, drive: Any, advance: Advance) -> State:
        return advance(params.cell, state, drive)

    def linear(self, params: EncodedParams, drive: Any) -> tuple[Transition, State]:
        return self.cell.linear(params.cell, drive)

    def enter(self, params: EncodedParams, state: State, drive: Any) -> State:
        return self.cell.enter(params.cell, state, drive)

    def recurrent(self, params: EncodedParams, state: State) -> jax.Array:
        return self.cell.recurrent(params.cell, state)

    def output(self, params: EncodedParams, state: State, x: Any) -> Any:
        return self.cell.output(params.cell, state, self._encode(params, x))

    def noise(self, params: EncodedParams, key: jax.Array, shape: tuple[int, ...]) -> Any:
        return self.cell.noise(params.cell, key, shape)

    def _encode(self, params: EncodedParams, x: Any) -> Any:
        x, drawn = noise.split(x)
        return noise.join(self.encoder.features**0.5 * self.encoder.apply_one_hot(params.encoder, x), drawn)
