"""Scheduled sampling: a decoder that in training reads, now and then, what it would have said itself."""

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from rnn_jax import noise
from rnn_jax.cell import Cell, State
from rnn_jax.masking import select

if TYPE_CHECKING:
    from rnn_jax.models.decoder import Decoder, DecoderParams


class Taught(NamedTuple):
    """A step's input: the target's token, and whether another is read in its place, drawn by a number."""

    x: jax.Array  # [*batch, features]
    own: jax.Array  # booleans [*batch]
    draw: jax.Array  # [*batch], uniform in [0, 1)


class SelfFedState(NamedTuple):
    """The decoder's state, and what it has read last."""

    cell: State
    x: jax.Array  # [*batch, features]


@dataclasses.dataclass(frozen=True)
class SelfFed(Cell):
    """A decoder's cell that reads x_t = own_t ? E_u : E_y, with y the target's token and u one of its own.

    Bengio, Vinyals, Jaitly & Shazeer 2015 (arXiv:1506.03099), a coin a token. No gradient goes through the draw. Its
    parameters are the decoder's, its inputs `Taught`.

    Args:
      decoder: whose tokens they are.
    """

    input_size: int = dataclasses.field(init=False, repr=False)
    hidden_size: int = dataclasses.field(init=False, repr=False)
    decoder: "Decoder"

    def __post_init__(self) -> None:
        object.__setattr__(self, "input_size", self.decoder.cell.input_size)
        object.__setattr__(self, "hidden_size", self.decoder.cell.hidden_size)
        super().__post_init__()

    @property
    def output_size(self) -> int:
        return self.decoder.cell.output_size

    def taught(self, xs: jax.Array, probability: Any, key: jax.Array) -> Taught:
        """Inputs [T, *batch, features] with the coins and draws of all steps; the first token, BEGIN, is not drawn."""
        key_own, key_draw = jax.random.split(key)
        own = jax.random.bernoulli(key_own, probability, xs.shape[:-1])
        return Taught(xs, own.at[0].set(False), jax.random.uniform(key_draw, xs.shape[:-1], xs.dtype))

    def initial_state(self, params: "DecoderParams", batch_shape: tuple[int, ...] = ()) -> SelfFedState:
        state = self.decoder.cell.initial_state(params.cell, batch_shape)
        dtype = jax.tree.leaves(params.readout)[0].dtype
        return SelfFedState(state, jnp.zeros((*batch_shape, self.input_size), dtype))

    def noise(self, params: "DecoderParams", key: jax.Array, shape: tuple[int, ...]) -> Any:
        return self.decoder.cell.noise(params.cell, key, shape)

    def step(self, params: "DecoderParams", state: SelfFedState, drive: Any) -> SelfFedState:
        taught, drawn = noise.split(drive)
        cell = self.decoder.cell
        logits = self.decoder.read(params, cell.output(params.cell, state.cell, state.x))
        x = select(taught.own, self.decoder.embed(params, _drawn(logits, taught.draw)), taught.x)
        seen = noise.join(x, drawn)
        return SelfFedState(cell.step(params.cell, state.cell, cell.project(params.cell, seen)), x)

    def output(self, params: "DecoderParams", state: SelfFedState, x: Any) -> Any:
        return self.decoder.cell.output(params.cell, state.cell, state.x)


def _drawn(logits: jax.Array, u: jax.Array) -> jax.Array:
    """The first token [*batch] whose cumulative probability exceeds u [*batch]; logits [*batch, V]."""
    total = jnp.cumsum(jax.nn.softmax(jax.lax.stop_gradient(logits)), axis=-1)
    return jnp.minimum(jnp.sum(total <= u[..., None], axis=-1), logits.shape[-1] - 1)
