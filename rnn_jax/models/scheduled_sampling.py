"""Scheduled sampling: in training, a decoder now and then reads a token drawn from its own prediction.

Bengio, Vinyals, Jaitly & Shazeer 2015 (arXiv:1506.03099), with an independent coin for each token. No gradient flows
through a draw.
"""

import dataclasses
from typing import Any, NamedTuple, NoReturn

import jax
import jax.numpy as jnp

from rnn_jax import noise
from rnn_jax.cell import State
from rnn_jax.data import Encoder
from rnn_jax.masking import select
from rnn_jax.models import dense, embedding
from rnn_jax.wrapper import Wrapper


class ScheduledInput(NamedTuple):
    """Input of one step: the embedded target token, and whether a sampled token replaces it."""

    x: jax.Array  # [*batch, features]
    sample: jax.Array  # booleans [*batch]
    uniform: jax.Array  # [*batch], in [0, 1): selects the sampled token


class ScheduledState(NamedTuple):
    """State of the decoder's cell, and the input it has read last."""

    cell: State
    x: jax.Array  # [*batch, features]


@dataclasses.dataclass(frozen=True)
class ScheduledCell(Wrapper):
    """A decoder's cell that reads x_t = sample_t ? E_u : E_y, with y the target's token and u ~ softmax(o_{t-1} V + b).

    Inputs are `ScheduledInput`s. Parameters are `DecoderParams`.

    Args:
      cell: cell of the decoder.
      encoder: encoder of the tokens.
    """

    encoder: Encoder

    def init(self, key: jax.Array) -> NoReturn:
        raise NotImplementedError("ScheduledCell has the parameters of a Decoder")

    def inner_params(self, params: Any) -> Any:
        return params.cell

    def prepare(self, params: Any) -> Any:
        return params._replace(cell=self.cell.prepare(params.cell))

    def initial_state(self, params: Any, batch_shape: tuple[int, ...] = ()) -> ScheduledState:
        state = self.cell.initial_state(params.cell, batch_shape)
        dtype = jax.tree.leaves(params.readout)[0].dtype
        return ScheduledState(state, jnp.zeros((*batch_shape, self.input_size), dtype))

    def project(self, params: Any, x: Any) -> Any:
        return x  # only the step knows which token is read

    def step(self, params: Any, state: ScheduledState, drive: Any) -> ScheduledState:
        given, drawn_noise = noise.split(drive)
        logits = dense.apply(params.readout, self.encoder.size, self.output(params, state, None))
        sampled = embedding.scaled(self.encoder, params.encoder, _tokens(logits, given.uniform))
        x = select(given.sample, sampled, given.x)
        projected = self.cell.project(params.cell, noise.join(x, drawn_noise))
        return ScheduledState(self.cell.step(params.cell, state.cell, projected), x)

    def output(self, params: Any, state: ScheduledState, x: Any) -> Any:
        return self.cell.output(params.cell, state.cell, state.x)


def draw_inputs(xs: jax.Array, probability: Any, key: jax.Array) -> ScheduledInput:
    """Returns inputs [T, *batch, features] with the coins and uniform numbers of all steps.

    The first token, BEGIN, is never replaced.
    """
    key_coins, key_uniform = jax.random.split(key)
    sample = jax.random.bernoulli(key_coins, probability, xs.shape[:-1])
    return ScheduledInput(xs, sample.at[0].set(False), jax.random.uniform(key_uniform, xs.shape[:-1], xs.dtype))


def _tokens(logits: jax.Array, uniform: jax.Array) -> jax.Array:
    """Returns the first token [*batch] whose cumulative probability exceeds uniform [*batch]; logits [*batch, V]."""
    cumulative = jnp.cumsum(jax.nn.softmax(jax.lax.stop_gradient(logits)), axis=-1)
    return jnp.minimum(jnp.sum(cumulative <= uniform[..., None], axis=-1), logits.shape[-1] - 1)
