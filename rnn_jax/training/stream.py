"""Training on streams: truncated BPTT with carried state, a scan over segments, the data on the device.

After every segment the optimizer makes a step, and what the estimator carries, the state at its least, goes on to the
next: with `BPTT` as estimator no gradient goes back beyond a segment, while the state has read the stream from its
beginning (Williams & Peng 1990; Mikolov et al. 2010). At the end of the streams it begins anew.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import mesh
from rnn_jax.data import OneHot
from rnn_jax.data.stream import Segment, Streams
from rnn_jax.gradients import ReadoutLoss
from rnn_jax.models import ReadoutModel, nats_per_token
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.seeds import fetch, in_groups, over_seeds, place
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, descend


class StreamState(NamedTuple):
    """All of a run that changes; [seeds, ...]. Which segment comes next follows from the steps done."""

    training: TrainState
    carry: Any  # of the estimator


def begin_stream(trainer: Trainer[ReadoutModel], streams: Streams, state: TrainState) -> StreamState:
    """The state at the beginning of the streams, from `training.init`; arguments as `run_stream`."""
    return _begin(trainer, streams, place(state))


@functools.partial(jax.jit, static_argnames="trainer")
def _begin(trainer: Trainer[ReadoutModel], streams: Streams, state: TrainState) -> StreamState:
    def of_seed(state: TrainState, streams: Streams) -> StreamState:
        key, key_noise = jax.random.split(state.key)
        return StreamState(state._replace(key=key), _fresh(trainer, streams, state, key_noise))

    return over_seeds(of_seed, state, streams)


def run_stream(
    trainer: Trainer[ReadoutModel], streams: Streams, state: StreamState, steps: int
) -> tuple[StreamState, StepMetrics]:
    """Trains all seeds on the next `steps` segments, in one program without a transfer to the host.

    Args:
      trainer: static. Its model reads unit vectors of the ids, as `LanguageModel.network`; its batch_size is that of
        the streams.
      streams: what is read; epochs follow one another.
      state: [seeds, ...]; its buffers are given away.
      steps: static.

    Returns:
      The new state, and the metrics of every step, [seeds, steps]; losses in nats per token.
    """
    return in_groups(lambda of_group: _run(trainer, streams, of_group, steps), place(state))


@functools.partial(jax.jit, static_argnames=("trainer", "steps"), donate_argnames="state")
def _run(
    trainer: Trainer[ReadoutModel], streams: Streams, state: StreamState, steps: int
) -> tuple[StreamState, StepMetrics]:
    model, estimator = trainer.model, trainer.estimator
    mesh.check(trainer)

    def train_step(found: StreamState, streams: Streams) -> tuple[StreamState, StepMetrics]:
        state, carry = found
        key, key_noise = jax.random.split(state.key)
        index = state.step % streams.segments
        # An epoch begins with the initial state. The first has it already.
        carry = jax.lax.cond(
            (index == 0) & (state.step > 0), lambda: _fresh(trainer, streams, state, key_noise), lambda: carry
        )
        piece = mesh.split_batch(streams.segment(index))
        xs = _unit_vectors(model, piece)
        loss, grads, carried = estimator(model.cell, _loss(model, piece), state.params, carry, xs, piece)
        state, metrics = descend(trainer, state, key, loss, grads)
        if not trainer.not_finite.ends:
            finite = jnp.isfinite(metrics.loss) & jnp.isfinite(metrics.grad_norm)
            carried = jax.tree.map(lambda new, old: jnp.where(finite, new, old), carried, carry)
        return StreamState(mesh.split_state(state), carried), metrics

    def of_seed(state: StreamState, streams: Streams) -> tuple[StreamState, StepMetrics]:
        return jax.lax.scan(lambda state, _: train_step(state, streams), state, length=steps)

    return over_seeds(of_seed, state, streams)


def evaluate_stream(model: ReadoutModel, streams: Streams, params: Any) -> np.ndarray:
    """The mean loss over every target of the streams, in nats per token, the state carried from their beginning.

    Args:
      model: as a trainer's; compared by value.
      streams: what is read.
      params: [seeds, ...].

    Returns:
      The losses [seeds].
    """
    return fetch(_evaluate(model, streams, place(params)))


@functools.partial(jax.jit, static_argnames="model")
def _evaluate(model: ReadoutModel, streams: Streams, params: Any) -> jax.Array:
    def of_seed(params: ReadoutParams, streams: Streams) -> jax.Array:
        def read(state: Any, index: jax.Array) -> tuple[Any, jax.Array]:
            piece = mesh.split_batch(streams.segment(index))
            state, logits = model.apply(params, _unit_vectors(model, piece), state)
            return state, nats_per_token(logits, piece.targets, piece.weights) * jnp.sum(piece.weights)

        state = model.cell.initial_state(params.cell, (streams.batch_size,))
        _, sums = jax.lax.scan(read, state, jnp.arange(streams.segments))
        return jnp.sum(sums) / jnp.sum(streams.counts)

    return over_seeds(of_seed, params, streams)


def _fresh(trainer: Trainer[ReadoutModel], streams: Streams, state: TrainState, key: jax.Array) -> Any:
    """The estimator's carry before the first segment."""
    xs = _unit_vectors(trainer.model, streams.segment(0))
    return trainer.estimator.init(trainer.model.cell, state.params, xs, key=key)


def _unit_vectors(model: ReadoutModel, piece: Segment) -> jax.Array:
    return OneHot(model.cell.input_size).apply((), piece.ids)


def _loss(model: ReadoutModel, piece: Segment) -> ReadoutLoss:
    """Mean over the piece's targets, as an estimator wants it: each step gives its share."""
    total = jnp.maximum(jnp.sum(piece.weights), 1)

    def loss(readout: Any, hs: Any, part: Segment) -> jax.Array:
        logits = model.read(ReadoutParams((), readout), hs)
        return nats_per_token(logits, part.targets, part.weights) * (jnp.sum(part.weights) / total)

    return loss
