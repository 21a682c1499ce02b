"""A cell's output concatenated with the most recent inputs."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import checks, noise
from rnn_jax.cell import Params, State
from rnn_jax.wrapper import Advance, Wrapper


class Delayed(NamedTuple):
    """The state of the cell, and the most recent inputs."""

    cell: State
    line: jax.Array  # [*batch, taps * F]: x_t, x_{t-1}, ...


class DelayedDrive(NamedTuple):
    """The cell's drive and the input of a step."""

    cell: Any
    x: jax.Array


@dataclasses.dataclass(frozen=True)
class DelayLine(Wrapper):
    """y_t = (cell(x)_t, x_t, x_{t-1}, .., x_{t-k+1}), with zeros for inputs before the first step.

    A linear readout of it adds an autoregression of order k to a recurrent network: the "autoregressive component" of
    LSTNet, Lai et al. 2018 (arXiv:1703.07015), without which a network follows a series' changes of level poorly.

    Args:
      cell: any cell that can be stepped.
      taps: number k of most recent inputs.

    Raises:
      TypeError: if `cell` is not a cell.
      ValueError: if taps is not a positive integer.
    """

    taps: int

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer_at_least(1, self.taps, "DelayLine: taps")

    @property
    def output_size(self) -> int:
        return self.cell.output_size + self.taps * self.input_size

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> Delayed:
        line = jnp.zeros((*batch_shape, self.taps * self.input_size))
        return Delayed(super().initial_state(params, batch_shape), line)

    def project(self, params: Params, x: Any) -> DelayedDrive:
        return DelayedDrive(super().project(params, x), noise.split(x)[0])

    def around(self, params: Params, state: Delayed, drive: DelayedDrive, advance: Advance) -> Delayed:
        kept = state.line[..., : (self.taps - 1) * self.input_size]
        line = jnp.concatenate([drive.x, kept], axis=-1).astype(state.line.dtype)
        return Delayed(advance(params, state.cell, drive.cell), line)

    def enter(self, params: Params, state: Delayed, drive: DelayedDrive) -> Delayed:
        return state._replace(cell=super().enter(params, state.cell, drive.cell))

    def recurrent(self, params: Params, state: Delayed) -> jax.Array:
        return super().recurrent(params, state.cell)

    def output(self, params: Params, state: Delayed, x: Any) -> jax.Array:
        return jnp.concatenate([super().output(params, state.cell, x), state.line], axis=-1)
