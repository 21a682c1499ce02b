"""A connection past a layer."""

import dataclasses
from typing import Any

from rnn_jax import noise
from rnn_jax.cell import Params, State
from rnn_jax.layer import Layer, UnrollOptions
from rnn_jax.unrolling import unroll
from rnn_jax.wrapper import Wrapper


@dataclasses.dataclass(frozen=True)
class Residual(Wrapper, Layer):
    """y_t = x_t + cell(x)_t, He et al. 2016; between recurrent layers, Wu et al. 2016 (arXiv:1609.08144).

    Args:
      cell: a cell or layer with as many output features as input features.

    Raises:
      TypeError: if `cell` is not a cell or layer.
      ValueError: if its output_size is not its input_size.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cell.input_size != self.cell.output_size:
            raise ValueError(
                f"Residual: {type(self.cell).__name__} must give as many features as it reads, got {self.input_size} "
                f"in and {self.output_size} out"
            )

    def unroll(self, params: Params, xs: Any, state: State, options: UnrollOptions) -> tuple[State, Any]:
        final_state, ys = unroll(self.cell, params, xs, state, **options.keywords())
        return final_state, xs + ys

    def output(self, params: Params, state: State, x: Any) -> Any:
        return noise.split(x)[0] + super().output(params, state, x)
