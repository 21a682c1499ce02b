"""Training on a finite set of examples: epochs over buckets of static shapes, the data on the device, many seeds.

In an epoch every example comes once, in an order of the seed's own. A bucket's last batch is filled up with the
examples that came first in it, so that all batches of a bucket have one shape and are one program.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import mesh
from rnn_jax.data import Examples
from rnn_jax.gradients import BPTT
from rnn_jax.seeds import fetch, over_seeds, place
from rnn_jax.training.history import join
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, descend

Loss = Callable[[Any, Any, Examples, jax.Array], jax.Array]  # of model, parameters, a batch and a key: its mean loss
Function = Callable[[Any, Any, Examples], Any]  # of model, parameters and a batch: a pytree of [B, ...]


def steps_of(buckets: Sequence[Examples], batch_size: int) -> int:
    """Optimization steps of an epoch."""
    return sum(-(-examples.size // batch_size) for examples in buckets)


class ExamplesState(NamedTuple):
    """All of a run that changes; [seeds, ...]."""

    training: TrainState
    order: jax.Array  # the key of the epoch's order
    read: jax.Array  # batches read, of all epochs; the same of every seed


def begin_examples(state: TrainState) -> ExamplesState:
    """The state before the first epoch, from `training.init`."""
    return ExamplesState(state, jnp.copy(state.key), jnp.zeros_like(state.step))


def run_examples(
    trainer: Trainer, loss: Loss, buckets: Sequence[Examples], state: ExamplesState, steps: int
) -> tuple[ExamplesState, StepMetrics]:
    """Trains all seeds on the next `steps` batches, without a transfer to the host; epochs follow one another.

    Args:
      trainer: static. Its model has `init`; `loss` says what else. Its estimator is `BPTT()`: an example is read whole.
      loss: static, a function of a module: of the trainer's model, parameters, a batch and a key for noise.
      buckets: the examples, each bucket of its own shapes.
      state: [seeds, ...]; its buffers are given away.
      steps: how many. It has no part in what is computed: 2 and 3 are 5.

    Returns:
      The new state, and the metrics of every step, [seeds, steps].

    Raises:
      ValueError: where there is no bucket, one is no set of examples, or the estimator is another.
    """
    if not isinstance(trainer.estimator, BPTT):
        raise ValueError(f"run_examples: the trainer's estimator must be BPTT(), got {trainer.estimator!r}")
    if not buckets:
        raise ValueError("run_examples: buckets must hold at least one set of examples, got none")
    sizes = tuple(examples.checked().size for examples in buckets)
    of_epoch = steps_of(buckets, trainer.batch_size)
    (training, key, read), buckets = place(state), mesh.place_whole(buckets)
    begun = int(fetch(read)[0])
    orders: list[jax.Array] = []
    pieces = []
    for number in range(begun, begun + steps):
        epoch, place_in_epoch = divmod(number, of_epoch)
        if place_in_epoch == 0:
            key = jnp.copy(training.key)
        if place_in_epoch == 0 or not orders:
            orders = _orders(key, sizes, trainer.batch_size)
            batches = [(i, n) for i, order in enumerate(orders) for n in range(order.shape[1])]
            turns = np.random.default_rng(epoch).permutation(of_epoch)  # of the buckets' batches, as every seed has it
        bucket, batch = batches[turns[place_in_epoch]]
        training, metrics = _step(trainer, loss, training, orders[bucket], buckets[bucket], jax.device_put(batch))
        pieces.append(metrics)
    return ExamplesState(training, key, read + jax.device_put(steps)), join(pieces)


@functools.partial(jax.jit, static_argnames=("sizes", "batch_size"))
def _orders(keys: jax.Array, sizes: tuple[int, ...], batch_size: int) -> list[jax.Array]:
    """Of each bucket the examples of every batch, [seeds, batches, batch_size]."""

    def of_seed(key: jax.Array) -> list[jax.Array]:
        found = []
        for bucket, size in enumerate(sizes):
            order = jax.random.permutation(jax.random.fold_in(key, bucket), size)
            batches = -(-size // batch_size)
            found.append(order[jnp.arange(batches * batch_size) % size].reshape(batches, batch_size))
        return found

    return over_seeds(of_seed, keys)


@functools.partial(jax.jit, static_argnames=("trainer", "loss"), donate_argnames="state")
def _step(
    trainer: Trainer, loss: Loss, state: TrainState, order: jax.Array, examples: Examples, number: jax.Array
) -> tuple[TrainState, StepMetrics]:
    mesh.check(trainer)

    def of_seed(
        found: tuple[TrainState, jax.Array], examples: Examples, number: jax.Array
    ) -> tuple[TrainState, StepMetrics]:
        state, order = found
        key, key_noise = jax.random.split(state.key)
        batch = _split(examples.take(order[number]))
        value, grads = jax.value_and_grad(loss, argnums=1)(trainer.model, state.params, batch, key_noise)
        state, metrics = descend(trainer, state, key, value, grads)
        return mesh.split_state(state), jax.tree.map(lambda leaf: leaf[None], metrics)

    return over_seeds(of_seed, (state, order), examples, number)


def predict(model: Any, function: Function, params: Any, examples: Examples, batch_size: int) -> Any:
    """A function of every example, batch by batch, of all seeds in one program.

    Args:
      model: static; handed to `function`.
      function: static, a function of a module: of the model, parameters and a batch, with results [B, ...].
      params: [seeds, ...].
      examples: of one bucket.
      batch_size: examples at a time; of a smaller set all.

    Returns:
      Its results as NumPy arrays [seeds, N, ...].
    """
    size, params = examples.checked().size, place(params)
    batch_size = min(batch_size, size)
    found = []
    for start in range(0, size, batch_size):
        # The last batch is filled up, so that there is one program, and its filling cut off.
        places = jnp.arange(start, start + batch_size) % size
        results = _results(model, function, params, _take(examples, places))
        found.append(jax.tree.map(lambda leaf, left=size - start: leaf[:, :left], fetch(results)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *found)


@jax.jit
def _take(examples: Examples, places: jax.Array) -> Examples:
    """A program of its own, so that what is large is compiled for a batch's shapes alone, not for each set's size."""
    return examples.take(places)


@functools.partial(jax.jit, static_argnames=("model", "function"))
def _results(model: Any, function: Function, params: Any, batch: Examples) -> Any:
    def of_seed(params: Any, batch: Examples) -> Any:
        return function(model, params, _split(batch))

    return over_seeds(of_seed, params, batch)


def _split(batch: Examples) -> Examples:
    return Examples(mesh.split_batch(batch.steps), mesh.split_batch(batch.whole, 0))
