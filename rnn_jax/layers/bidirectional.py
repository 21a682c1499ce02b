"""Two cells over one sequence, from both ends; Schuster & Paliwal 1997."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp

from rnn_jax import noise
from rnn_jax.cell import Cell, Params, State
from rnn_jax.layer import Layer, UnrollOptions
from rnn_jax.unrolling import unroll

MERGES: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "concat": lambda forward, backward: jnp.concatenate([forward, backward], axis=-1),
    "sum": lambda forward, backward: forward + backward,
    "mean": lambda forward, backward: (forward + backward) / 2,
}


class BidirectionalParams(NamedTuple):
    """Parameters of the two cells."""

    forward: Params
    backward: Params


class BidirectionalState(NamedTuple):
    """States of the two cells; the final ones are those at a sequence's last step and at its first."""

    forward: State
    backward: State


@dataclasses.dataclass(frozen=True)
class Bidirectional(Cell, Layer):
    """y_t = merge(forward(x_1..x_t)_t, backward(x_L..x_t)_t), with L each sequence's own length.

    It needs the whole sequence: it can be unrolled, not stepped. Its state cannot be carried over segments: the forward
    cell's final state belongs to the next segment, the backward cell's to the previous one.

    >>> from rnn_jax import LSTM
    >>> model = Bidirectional(LSTM(2, 4))
    >>> params = model.init(jax.random.key(0))
    >>> _, ys = unroll(model, params, jnp.ones((10, 5, 2)), lengths=[10, 7, 3, 1, 0])
    >>> ys.shape
    (10, 5, 8)

    Args:
      forward: cell or layer that reads from the first step.
      backward: cell or layer that reads from the last step; None means a copy of `forward` with its own parameters.
      merge: combination of the outputs: "concat" (forward first; twice as many features), "sum" or "mean".

    Raises:
      TypeError: if one is not a cell or layer.
      ValueError: if the two differ in input size (or, except for "concat", in output size), or `merge` is unknown.
    """

    input_size: int = dataclasses.field(init=False, repr=False)
    hidden_size: int = dataclasses.field(init=False, repr=False)
    forward: Cell
    backward: Cell | None = None
    merge: str = "concat"

    def __post_init__(self) -> None:
        for name in ("forward", "backward"):
            cell = getattr(self, name)
            if not isinstance(cell, Cell) and (cell is not None or name == "forward"):
                raise TypeError(f"Bidirectional: {name} must be a cell or layer, got {cell!r}")
        if self.merge not in MERGES:
            raise ValueError(f"Bidirectional: merge must be one of {', '.join(MERGES)}, got {self.merge!r}")
        forward, backward = self._cells
        if forward.input_size != backward.input_size:
            raise ValueError(
                f"Bidirectional: forward and backward must read the same inputs, got input_size {forward.input_size} "
                f"and {backward.input_size}"
            )
        if self.merge != "concat" and forward.output_size != backward.output_size:
            raise ValueError(
                f"Bidirectional: outputs must be of one size to take their {self.merge}, got {forward.output_size} and "
                f"{backward.output_size}"
            )
        object.__setattr__(self, "input_size", forward.input_size)
        object.__setattr__(self, "hidden_size", forward.hidden_size)
        super().__post_init__()

    @property
    def _cells(self) -> tuple[Cell, Cell]:
        return self.forward, self.forward if self.backward is None else self.backward

    @property
    def output_size(self) -> int:
        forward, backward = self._cells
        return forward.output_size + backward.output_size if self.merge == "concat" else forward.output_size

    def init(self, key: jax.Array) -> BidirectionalParams:
        forward, backward = self._cells
        key_forward, key_backward = jax.random.split(key)
        return BidirectionalParams(forward.init(key_forward), backward.init(key_backward))

    def initial_state(self, params: BidirectionalParams, batch_shape: tuple[int, ...] = ()) -> BidirectionalState:
        forward, backward = self._cells
        return BidirectionalState(
            forward.initial_state(params.forward, batch_shape), backward.initial_state(params.backward, batch_shape)
        )

    def unroll(
        self, params: BidirectionalParams, xs: Any, state: BidirectionalState, options: UnrollOptions
    ) -> tuple[BidirectionalState, jax.Array]:
        forward, backward = self._cells
        key_forward, key_backward = noise.keys(options.key, 2)
        final_f, ys_f = unroll(forward, params.forward, xs, state.forward, **options.keywords(key=key_forward))
        final_b, ys_b = unroll(
            backward, params.backward, xs, state.backward, reverse=True, **options.keywords(key=key_backward)
        )
        return BidirectionalState(final_f, final_b), MERGES[self.merge](ys_f, ys_b)

    def step(self, params: BidirectionalParams, state: BidirectionalState, drive: Any) -> NoReturn:
        raise TypeError(
            "Bidirectional reads each sequence from both ends: it can be unrolled, not stepped; wrap its cells"
        )
