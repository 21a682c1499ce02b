"""Mixed precision, Micikevicius et al. 2018 (arXiv:1710.03740), with bfloat16 (Kalamkar et al. 2019, arXiv:1905.12322).

bfloat16 has the range of float32, so that no loss has to be scaled, and 8 bits of precision: enough for the terms of a
sum, too few for a sum. A state c times a forget gate of 0.998 would not change in it.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from rnn_jax.bfloat16 import in_bfloat16
from rnn_jax.cell import Params, State
from rnn_jax.linear import Transition
from rnn_jax.wrapper import Advance, Wrapper


@dataclasses.dataclass(frozen=True)
class MixedPrecision(Wrapper):
    """Any cell with bfloat16 operands in its matrix products and in those of its derivatives.

        x W  becomes  bfloat16(x) bfloat16(W), summed in float32

    Parameters, states, gates, outputs and gradients stay in float32, and so do sums over time: the states, and the
    weights' gradients. Results differ from the cell's own by the rounding of the operands, 2^-9 of each. It is faster
    on hardware that multiplies bfloat16 (a CPU with AMX, a GPU, a TPU), and takes no less memory.

    It needs nothing of the cell; products of complex numbers, and those that prepare parameters (the exponential of
    `ExpRNN`), stay as they are. In a `Stack` or `Bidirectional`, put it around the inner cells.

    Args:
      cell: any cell.

    Raises:
      TypeError: if `cell` is not a cell.
    """

    def project(self, params: Params, x: Any) -> Any:
        return self._rounded(super().project, params, x)

    def around(self, params: Params, state: State, drive: Any, advance: Advance) -> State:
        return self._rounded(advance, params, state, drive)

    def recurrent(self, params: Params, state: State) -> jax.Array:
        return self._rounded(super().recurrent, params, state)

    def linear(self, params: Params, drive: Any) -> tuple[Transition, State]:
        return self._rounded(super().linear, params, drive)

    def output(self, params: Params, state: State, x: Any) -> Any:
        return self._rounded(super().output, params, state, x)

    def _rounded(self, method: Callable[..., Any], params: Params, *arguments: Any) -> Any:
        """Calls a method of the cell with rounded products; those that prepare parameters come before and are not."""
        return in_bfloat16(method)(self.prepare(params), *arguments)
