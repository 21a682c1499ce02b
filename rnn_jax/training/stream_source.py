"""Segments of streams: truncated BPTT with carried state, a scan over segments, the data on the device.

After every segment the optimizer takes a step, and the estimator's carry (the state, at least) is passed to the next
segment: with `BPTT` as estimator no gradient crosses a segment boundary, while the state has read the stream from its
start (Williams & Peng 1990; Mikolov et al. 2010). At the end of the streams both start again.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from rnn_jax import mesh
from rnn_jax.data import OneHot
from rnn_jax.data.stream import Segment, Streams
from rnn_jax.gradients import ReadoutLoss
from rnn_jax.models import ReadoutModel, nats_per_token
from rnn_jax.models.readout import ReadoutParams
from rnn_jax.seeds import fetch, in_groups, over_seeds, place
from rnn_jax.training.run_state import RunState
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, descend


@dataclasses.dataclass(frozen=True)
class StreamSource:
    """Streams as a source of batches; the cursor is the estimator's carry.

    The trainer's model reads one-hot vectors of the ids, as `LanguageModel.network`; its batch_size is that of the
    streams. Losses are in nats per token. The number of steps done determines which segment is next.
    """

    streams: Streams

    def start(self, trainer: Trainer[ReadoutModel], state: TrainState) -> RunState:
        """Returns the run state at the start of the streams."""
        return _start(trainer, self.streams, place(state))

    def run(self, trainer: Trainer[ReadoutModel], state: RunState, steps: int) -> tuple[RunState, StepMetrics]:
        """Trains on the next `steps` segments; epochs follow one another."""
        return in_groups(lambda group: _run(trainer, self.streams, group, steps), place(state))


@functools.partial(jax.jit, static_argnames="trainer")
def _start(trainer: Trainer[ReadoutModel], streams: Streams, state: TrainState) -> RunState:
    def start_seed(state: TrainState, streams: Streams) -> RunState:
        key, key_noise = jax.random.split(state.key)
        return RunState(state._replace(key=key), _initial_carry(trainer, streams, state, key_noise))

    return over_seeds(start_seed, state, streams)


@functools.partial(jax.jit, static_argnames=("trainer", "steps"), donate_argnames="state")
def _run(trainer: Trainer[ReadoutModel], streams: Streams, state: RunState, steps: int) -> tuple[RunState, StepMetrics]:
    model, estimator = trainer.model, trainer.estimator
    mesh.check(trainer)

    def train_step(run: RunState, streams: Streams) -> tuple[RunState, StepMetrics]:
        state, carry = run
        key, key_noise = jax.random.split(state.key)
        index = state.step % streams.segments
        # An epoch starts from the initial state. `start` has made that of the first.
        carry = jax.lax.cond(
            (index == 0) & (state.step > 0), lambda: _initial_carry(trainer, streams, state, key_noise), lambda: carry
        )
        segment = mesh.split_batch(streams.segment(index))
        xs = _one_hot(model, segment)
        loss, grads, carried = estimator(model.cell, _loss(model, segment), state.params, carry, xs, segment)
        state, metrics = descend(trainer, state, key, loss, grads)
        if not trainer.not_finite.ends:
            finite = jnp.isfinite(metrics.loss) & jnp.isfinite(metrics.grad_norm)
            carried = jax.tree.map(lambda new, old: jnp.where(finite, new, old), carried, carry)
        return RunState(mesh.split_state(state), carried), metrics

    def run_seed(state: RunState, streams: Streams) -> tuple[RunState, StepMetrics]:
        return jax.lax.scan(lambda state, _: train_step(state, streams), state, length=steps)

    return over_seeds(run_seed, state, streams)


def stream_metrics(model: ReadoutModel, streams: Streams, params: Any) -> dict[str, np.ndarray]:
    """Returns the loss over every target of the streams; see `evaluate`."""
    return {"loss": fetch(_mean_loss(model, streams, place(params)))}


@functools.partial(jax.jit, static_argnames="model")
def _mean_loss(model: ReadoutModel, streams: Streams, params: Any) -> jax.Array:
    def total(logits: jax.Array, segment: Segment) -> jax.Array:
        return nats_per_token(logits, segment.targets, segment.weights) * jnp.sum(segment.weights)

    def seed_loss(params: ReadoutParams, streams: Streams) -> jax.Array:
        return jnp.sum(_read(model, streams, params, total)) / jnp.sum(streams.counts)

    return over_seeds(seed_loss, params, streams)


def target_losses(model: ReadoutModel, streams: Streams, params: Any) -> np.ndarray:
    """Returns the loss of every target, whose mean `evaluate` returns, in the order of the sequence [seeds, N - 1]."""
    losses = fetch(_losses(model, streams, place(params))).reshape(-1, len(streams.columns) - 1, streams.batch_size)
    return np.concatenate([losses[:, :count, b] for b, count in enumerate(fetch(streams.counts))], axis=1)


@functools.partial(jax.jit, static_argnames="model")
def _losses(model: ReadoutModel, streams: Streams, params: Any) -> jax.Array:
    """Returns the loss at every step [seeds, segments, segment_length, B]."""

    def each(logits: jax.Array, segment: Segment) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(logits, segment.targets)

    return over_seeds(lambda params, streams: _read(model, streams, params, each), params, streams)


def _read(
    model: ReadoutModel, streams: Streams, params: ReadoutParams, measure: Callable[[jax.Array, Segment], jax.Array]
) -> jax.Array:
    """Reads the streams from their start, and returns what `measure` makes of each segment [segments, ...]."""

    def read(state: Any, index: jax.Array) -> tuple[Any, jax.Array]:
        segment = mesh.split_batch(streams.segment(index))
        state, logits = model.apply(params, _one_hot(model, segment), state, key=None)
        return state, measure(logits, segment)

    state = model.cell.initial_state(params.cell, (streams.batch_size,))
    return jax.lax.scan(read, state, jnp.arange(streams.segments))[1]


def _initial_carry(trainer: Trainer[ReadoutModel], streams: Streams, state: TrainState, key: jax.Array) -> Any:
    """Returns the estimator's carry before the first segment."""
    xs = _one_hot(trainer.model, streams.segment(0))
    return trainer.estimator.init(trainer.model.cell, state.params, xs, key=key)


def _one_hot(model: ReadoutModel, segment: Segment) -> jax.Array:
    return OneHot(model.cell.input_size).apply((), segment.ids)


def _loss(model: ReadoutModel, segment: Segment) -> ReadoutLoss:
    """Returns the mean loss over the segment's targets as a sum over time, the form that an estimator needs."""
    total = jnp.maximum(jnp.sum(segment.weights), 1)

    def loss(readout: Any, hs: Any, part: Segment) -> jax.Array:
        logits = model.read(ReadoutParams((), readout), hs)
        return nats_per_token(logits, part.targets, part.weights) * (jnp.sum(part.weights) / total)

    return loss
