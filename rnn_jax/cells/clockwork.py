"""Clockwork recurrent network (CW-RNN), Koutnik et al. 2014 (arXiv:1402.3511), eq. 1 to 3.

    h_t = tanh(x_t W_i + h_{t-1} W_h + b)  in modules whose period divides t,  else h_{t-1}

Units are in modules, each with a period. A module reads those of the same or a longer period, so W_h is triangular in
blocks of modules. The first step is t = 0, in which all modules run; the paper does not say where t starts.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks, initializers
from rnn_jax.cell import Params, SplitCell
from rnn_jax.cells.projection import affine, over_batch


class ClockworkParams(NamedTuple):
    """Weights [in, out]; units by module, in the order of `periods`."""

    w_i: jax.Array  # [D, H]
    w_h: jax.Array  # [H, H]; weights between modules that are not connected start at zero and are not read
    b: jax.Array  # [H]


class ClockworkWeights(NamedTuple):
    """Prepared parameters."""

    w_i: jax.Array
    w_h: jax.Array  # [H, H], zero between modules that are not connected
    b: jax.Array


class ClockworkState(NamedTuple):
    """The hidden state, and the number of steps so far."""

    h: jax.Array  # [*batch, H]
    t: jax.Array  # [*batch, 1], int32


@dataclasses.dataclass(frozen=True)
class ClockworkRNN(SplitCell):
    """Clockwork RNN; the state is (h, t), the output h [*batch, H].

    Weights start as N(0, 0.1^2), biases as zero: our choice. The paper saves the products of modules that do not run,
    which is not done here: all are computed, as on a batch of sequences they must be if resets move their clocks apart.
    Claimed: better than an RNN and an LSTM at generating audio and at classifying spoken words of TIMIT (abstract).

    >>> cell = ClockworkRNN(input_size=2, hidden_size=6, periods=(1, 2, 4))
    >>> params = cell.init(jax.random.key(0))
    >>> state = cell.step(params, cell.initial_state(params), cell.project(params, jnp.ones(2)))
    >>> after = cell.step(params, state, cell.project(params, jnp.ones(2)))  # t = 1: only the first module runs
    >>> (after.h != state.h).astype(int)
    Array([1, 1, 0, 0, 0, 0], dtype=int32)

    Args:
      input_size: D.
      hidden_size: H.
      periods: period of each module, in steps, from the shortest; the paper uses powers of two, for speech up to 64.
        Modules are of the same size, or the first ones larger by a unit; if H is less than their number, the last ones
        are empty.

    Raises:
      ValueError: if a size or a period is not a positive integer, or the periods do not grow.
    """

    periods: tuple[int, ...] = (1, 2, 4, 8)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.periods, tuple | list):
            raise ValueError(f"ClockworkRNN: periods must be a tuple of integers that grow, got {self.periods!r}")
        object.__setattr__(self, "periods", tuple(self.periods))
        for period in self.periods:
            checks.integer_at_least(1, period, "ClockworkRNN: each of periods")
        if not self.periods or sorted({*self.periods}) != [*self.periods]:
            raise ValueError(f"ClockworkRNN: periods must grow, got {self.periods!r}")

    def init(self, key: jax.Array) -> ClockworkParams:
        key_i, key_h = jax.random.split(key)
        normal, units = initializers.Normal(0.1), self.hidden_size
        return ClockworkParams(
            w_i=normal(key_i, (self.input_size, units)),
            w_h=self._connected(normal(key_h, (units, units))),
            b=jnp.zeros(units),
        )

    def initial_state(self, params: Params, batch_shape: tuple[int, ...] = ()) -> ClockworkState:
        h = jnp.zeros((*batch_shape, self.hidden_size), params.b.dtype)
        return ClockworkState(h, jnp.zeros((*batch_shape, 1), jnp.int32))

    def prepare(self, params: Params) -> ClockworkWeights:
        if isinstance(params, ClockworkWeights):
            return params
        return ClockworkWeights(params.w_i, self._connected(params.w_h), params.b)

    def project(self, params: Params, x: jax.Array) -> jax.Array:
        return affine(x, params.w_i, params.b)

    def recurrent(self, params: Params, state: ClockworkState) -> jax.Array:
        return state.h @ self.prepare(params).w_h

    def activate(self, params: Params, state: ClockworkState, drive: jax.Array, r: jax.Array) -> ClockworkState:
        del params
        runs = state.t % over_batch(self._periods, r.ndim) == 0
        return ClockworkState(h=jnp.where(runs, jnp.tanh(drive + r), state.h), t=state.t + 1)

    def output(self, params: Params, state: ClockworkState, x: jax.Array) -> jax.Array:
        del params, x
        return state.h

    @property
    def _periods(self) -> jax.Array:
        """The period of each unit [H], int32."""
        modules = np.array_split(np.arange(self.hidden_size), len(self.periods))
        starts = np.cumsum([*map(len, modules)])[:-1].tolist()
        units, periods = jnp.arange(self.hidden_size), jnp.full(self.hidden_size, self.periods[0], jnp.int32)
        for start, period in zip(starts, self.periods[1:], strict=True):  # so that a step holds no array of its own
            periods = jnp.where(units >= start, period, periods)
        return periods

    def _connected(self, w_h: jax.Array) -> jax.Array:
        """Sets weights from a module to one of a longer period to zero."""
        periods = self._periods
        return jnp.where(periods[:, None] >= periods[None, :], w_h, 0)
