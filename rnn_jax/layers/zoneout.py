"""Zoneout, Krueger et al. 2017 (arXiv:1606.01305)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import checks, noise
from rnn_jax.cell import Params, State
from rnn_jax.linear import Transition, blend
from rnn_jax.wrapper import Advance, Wrapper


@dataclasses.dataclass(frozen=True)
class Zoneout(Wrapper):
    """Units keep their previous value at random: s_t = m_t * s_{t-1} + (1 - m_t) * step(s_{t-1}, d_t).

    With a key m_t ~ Bernoulli(rate), drawn at every step; with `key=None` m_t = rate, its expectation. Components of a
    state that are integers (a counter) always step.

    >>> from rnn_jax.cells.lstm import LSTM, LSTMState
    >>> Zoneout(LSTM(2, 3), LSTMState(h=0.05, c=0.5)).is_split
    True

    Args:
      cell: any cell.
      rate: share of the units kept. One number for the whole state, or a pytree like the state with a number for each
        component: `LSTMState(h=0.05, c=0.5)` are the paper's for language models.

    Raises:
      TypeError: if `cell` is not a cell.
      ValueError: if a rate is not in [0, 1), or, at the first use, the rates are not structured like the state.
    """

    rate: Any

    def __post_init__(self) -> None:
        for rate in jax.tree.leaves(self.rate, is_leaf=lambda leaf: leaf is None):
            checks.rate(rate, "Zoneout: rate")
        super().__post_init__()

    def inner_input(self, params: Params, x: Any) -> Any:
        return noise.take(x)[0]

    def project(self, params: Params, x: Any) -> Any:
        return super().project(params, x), noise.take(x)[1]

    def enter(self, params: Params, state: State, drive: Any) -> State:
        return super().enter(params, state, drive[0])

    def around(self, params: Params, state: State, drive: Any, advance: Advance) -> State:
        drive, masks = drive
        return jax.tree.map(blend, self._shares(masks, state), state, advance(params, state, drive))

    def linear(self, params: Params, drive: Any) -> tuple[Transition, State]:
        drive, masks = drive
        transition, b = super().linear(params, drive)
        shares = self._shares(masks, b)
        return transition.keep(shares), jax.tree.map(lambda share, b: blend(share, jnp.zeros_like(b), b), shares, b)

    def noise(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Any:
        key_masks, key = jax.random.split(key)
        state = self.initial_state(params)
        leaves, structure = jax.tree.flatten(state)
        keys = jax.random.split(key_masks, len(leaves))
        rates = jax.tree.leaves(self._rates(state))
        masks = [
            jax.random.bernoulli(k, rate, (*shape, *leaf.shape))
            for k, rate, leaf in zip(keys, rates, leaves, strict=True)
        ]
        return jax.tree.unflatten(structure, masks), super().noise(params, key, shape)

    def _shares(self, masks: Any, state: State) -> Any:
        """Returns the share kept of each component of the state: its mask, or its rate, or none of an integer."""
        shares = self._rates(state) if masks is None else masks
        return jax.tree.map(lambda share, s: share if jnp.issubdtype(s.dtype, jnp.inexact) else False, shares, state)

    def _rates(self, state: State) -> Any:
        """Returns one rate for each component of the state."""
        if isinstance(self.rate, int | float):
            return jax.tree.map(lambda _: self.rate, state)
        got: Any = jax.tree.structure(self.rate)
        expected: Any = jax.tree.structure(state)
        if got != expected:
            raise ValueError(f"Zoneout: rate must be a number or like the state, {expected}, got {got}")
        return self.rate
