"""Dropout, Srivastava et al. 2014: on the inputs of a layer, and inside its recurrence.

With a key a unit is dropped with probability `rate` and the others are scaled by 1 / (1 - rate); with `key=None`
nothing happens.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import checks, noise
from rnn_jax.cell import Params, State
from rnn_jax.layer import Layer, UnrollOptions
from rnn_jax.unrolling import unroll
from rnn_jax.wrapper import Advance, Wrapper


@dataclasses.dataclass(frozen=True)
class Dropout(Wrapper, Layer):
    """y = cell(m * x / (1 - rate)), m ~ Bernoulli(1 - rate).

    Around every layer of a stack but the lowest it is PyTorch's `dropout` (Zaremba et al. 2014, arXiv:1409.2329).

    Args:
      cell: a cell or layer.
      rate: share of the inputs dropped.
      variational: whether a sequence has one mask for all steps (Gal & Ghahramani 2016, arXiv:1512.05287), in place of
        one for each step. Segments of a sequence share it if they are given the same key.

    Raises:
      TypeError: if `cell` is not a cell or layer.
      ValueError: if the rate is not in [0, 1).
    """

    rate: float
    variational: bool = False

    def __post_init__(self) -> None:
        checks.rate(self.rate, "Dropout: rate")
        super().__post_init__()

    def unroll(self, params: Params, xs: Any, state: State, options: UnrollOptions) -> tuple[State, Any]:
        key_mask, key = noise.keys(noise.given(options.key, self), 2)
        if key_mask is not None:
            xs = _drop(xs, self._mask(key_mask, xs.shape[:-1]), self.rate)
        return unroll(self.cell, params, xs, state, **options.keywords(key=key))

    def inner_input(self, params: Params, x: Any) -> Any:
        x, drawn = noise.split(x)
        if drawn is None:
            return x
        mask, inner = drawn
        return noise.join(_drop(x, mask, self.rate), inner)

    def noise(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Any:
        key_mask, key = jax.random.split(key)
        return self._mask(key_mask, shape), super().noise(params, key, shape)

    def _mask(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _keep(key, self.rate, shape, (self.input_size,), self.variational)


@dataclasses.dataclass(frozen=True)
class RecurrentDropout(Wrapper):
    """s_t = activate(s_{t-1}, d_t, r_t) with r_t = recurrent(m * s_{t-1} / (1 - rate)), one m for each sequence.

    Gal & Ghahramani 2016 (arXiv:1512.05287), one mask for all gates. Only the recurrent product's input is dropped: an
    LSTM's c and the h that a GRU keeps pass whole, as in Keras.

    Args:
      cell: a `SplitCell`, bare or in wrappers.
      rate: share of the hidden units dropped.

    Raises:
      TypeError: if `cell` is not a cell, or not split into `recurrent` and `activate`.
      ValueError: if the rate is not in [0, 1).
    """

    rate: float

    def __post_init__(self) -> None:
        checks.rate(self.rate, "RecurrentDropout: rate")
        super().__post_init__()
        if not self.cell.is_split:
            raise TypeError(
                "RecurrentDropout: cell must be a SplitCell, whose step is recurrent and activate, got "
                f"{type(self.cell).__name__}"
            )

    def inner_input(self, params: Params, x: Any) -> Any:
        return noise.take(x)[0]

    def project(self, params: Params, x: Any) -> Any:
        return super().project(params, x), noise.take(x)[1]

    def around(self, params: Params, state: State, drive: Any, advance: Advance) -> State:
        return advance(params, state, drive[0])

    def enter(self, params: Params, state: State, drive: Any) -> State:
        drive, mask = drive
        entering = super().enter(params, state, drive)
        return entering if mask is None else jax.tree.map(lambda s, m: _drop(s, m, self.rate), entering, mask)

    def noise(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Any:
        key_mask, key = jax.random.split(key)
        state = self.initial_state(params)
        leaves, structure = jax.tree.flatten(state)
        keys = jax.random.split(key_mask, len(leaves))
        masks = [_keep(k, self.rate, shape, leaf.shape, True) for k, leaf in zip(keys, leaves, strict=True)]
        return jax.tree.unflatten(structure, masks), super().noise(params, key, shape)


def _keep(
    key: jax.Array, rate: float, shape: tuple[int, ...], features: tuple[int, ...], variational: bool
) -> jax.Array:
    """Draws which features are kept, [T, *batch, *features]; the same at all steps if variational."""
    steps = 1 if variational else shape[0]
    mask = jax.random.bernoulli(key, 1 - rate, (steps, *shape[1:], *features))
    return jnp.broadcast_to(mask, (*shape, *features))


def _drop(x: jax.Array, keep: jax.Array, rate: float) -> jax.Array:
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))
