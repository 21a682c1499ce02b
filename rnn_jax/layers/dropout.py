"""Dropout, Srivastava et al. 2014: on the inputs of a layer, and inside its recurrence.

With a key a unit is dropped with probability `rate` and what is left is scaled by 1 / (1 - rate); without one nothing
happens.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from rnn_jax import checks, noise
from rnn_jax.cell import Params, State
from rnn_jax.layer import Layer, Walk
from rnn_jax.unrolling import unroll
from rnn_jax.wrapper import Advance, Wrapper


@dataclasses.dataclass(frozen=True)
class Dropout(Wrapper, Layer):
    """y = cell(m * x / (1 - rate)), m ~ Bernoulli(1 - rate).

    Around every layer of a stack but the lowest it is PyTorch's `dropout` (Zaremba et al. 2014, arXiv:1409.2329).

    Args:
      cell: a cell or layer.
      rate: share of the inputs dropped.
      variational: one mask a sequence, the same at every step (Gal & Ghahramani 2016, arXiv:1512.05287), in place of
        one a step. Segments of a sequence share it if they are given the same key.

    Raises:
      TypeError: where `cell` is no cell or layer.
      ValueError: where the rate is not in [0, 1).
    """

    rate: float
    variational: bool = False

    def __post_init__(self) -> None:
        checks.rate(self.rate, "Dropout: rate")
        super().__post_init__()

    def unroll(self, params: Params, xs: Any, state: State, walk: Walk) -> tuple[State, Any]:
        key_mask, key = noise.keys(walk.key, 2)
        if key_mask is not None:
            xs = _drop(xs, self._mask(key_mask, xs.shape[:-1]), self.rate)
        return unroll(self.cell, params, xs, state, **walk.of_part(key))

    def project(self, params: Params, x: Any) -> Any:
        return self.cell.project(params, self._dropped(x))

    def output(self, params: Params, state: State, x: Any) -> Any:
        return self.cell.output(params, state, self._dropped(x))

    def noise(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Any:
        key_mask, key = jax.random.split(key)
        return self._mask(key_mask, shape), self.cell.noise(params, key, shape)

    def _mask(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return _keep(key, self.rate, shape, (self.input_size,), self.variational)

    def _dropped(self, x: Any) -> Any:
        x, drawn = noise.split(x)
        if drawn is None:
            return x
        mask, inner = drawn
        return noise.join(_drop(x, mask, self.rate), inner)


@dataclasses.dataclass(frozen=True)
class RecurrentDropout(Wrapper):
    """s_t = activate(s_{t-1}, d_t, r_t) with r_t = recurrent(m * s_{t-1} / (1 - rate)), m drawn once a sequence.

    Gal & Ghahramani 2016 (arXiv:1512.05287), one mask for all gates. Only what enters the recurrent product is dropped:
    an LSTM's c and the h that a GRU keeps pass whole, as in Keras.

    Args:
      cell: one whose step is split into `recurrent` and `activate`, bare or in wrappers.
      rate: share of the hidden units dropped.

    Raises:
      TypeError: where `cell` is no cell, or defines its step as a whole.
      ValueError: where the rate is not in [0, 1).
    """

    rate: float

    def __post_init__(self) -> None:
        checks.rate(self.rate, "RecurrentDropout: rate")
        super().__post_init__()
        if not self.cell.has_recurrent:
            raise TypeError(
                f"RecurrentDropout: {type(self.cell).__name__} does not say which product to drop in: it defines step "
                "as a whole, not recurrent and activate"
            )

    def project(self, params: Params, x: Any) -> Any:
        x, mask = noise.take(x)
        return self.cell.project(params, x), mask

    def around(self, params: Params, state: State, drive: Any, advance: Advance) -> State:
        return advance(params, state, drive[0])

    def enter(self, params: Params, state: State, drive: Any) -> State:
        drive, mask = drive
        seen = self.cell.enter(params, state, drive)
        return seen if mask is None else jax.tree.map(lambda s, m: _drop(s, m, self.rate), seen, mask)

    def output(self, params: Params, state: State, x: Any) -> Any:
        return self.cell.output(params, state, noise.take(x)[0])

    def noise(self, params: Params, key: jax.Array, shape: tuple[int, ...]) -> Any:
        key_mask, key = jax.random.split(key)
        state = self.cell.initial_state(params)
        leaves, structure = jax.tree.flatten(state)
        keys = jax.random.split(key_mask, len(leaves))
        masks = [_keep(k, self.rate, shape, leaf.shape, True) for k, leaf in zip(keys, leaves, strict=True)]
        return jax.tree.unflatten(structure, masks), self.cell.noise(params, key, shape)


def _keep(
    key: jax.Array, rate: float, shape: tuple[int, ...], features: tuple[int, ...], variational: bool
) -> jax.Array:
    """Which are kept, [T, *batch, *features]; all steps alike if variational."""
    steps = 1 if variational else shape[0]
    mask = jax.random.bernoulli(key, 1 - rate, (steps, *shape[1:], *features))
    return jnp.broadcast_to(mask, (*shape, *features))


def _drop(x: jax.Array, keep: jax.Array, rate: float) -> jax.Array:
    return jnp.where(keep, x / (1 - rate), jnp.zeros_like(x))
