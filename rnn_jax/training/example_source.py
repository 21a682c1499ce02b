"""Batches of a finite set of examples: epochs over buckets of static shapes, the data on the device, many seeds.

Every epoch visits each example once, in an order drawn per seed. The last batch of a bucket is filled up with the
examples that came first in that epoch, so that all batches of a bucket have one shape and share one program.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import mesh, static
from rnn_jax.data import Examples
from rnn_jax.gradients import BPTT
from rnn_jax.seeds import fetch, over_seeds, place
from rnn_jax.training.history import join
from rnn_jax.training.run_state import RunState
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, descend

ExampleLoss = Callable[[Any, Any, Examples, jax.Array], jax.Array]  # (model, params, batch, key) -> mean loss
Function = Callable[[Any, Any, Examples], Any]  # (model, params, batch) -> pytree of [B, ...]


def epoch_steps(buckets: Sequence[Examples], batch_size: int) -> int:
    """Returns the number of optimization steps of an epoch."""
    return sum(-(-examples.size // batch_size) for examples in buckets)


class Epoch(NamedTuple):
    """The position in a set of examples; [seeds]."""

    order_key: jax.Array  # key of the current epoch's order
    batches_read: jax.Array  # in all epochs; the same for every seed


@dataclasses.dataclass(frozen=True, eq=False)
class ExampleSource:
    """A finite set of examples with a loss, as a source of batches.

    The trainer's model has `init`; the loss defines everything else. Its estimator must be `BPTT()`, as each example is
    read whole; an engine other than the default is given by the loss, `model.loss(..., engine=Scan())`.

    Args:
      buckets: the examples, each bucket with its own shapes.
      loss: mean loss, a module-level function of the trainer's model, parameters, a batch and a key for noise. It is
        static: the programs are compiled for it.

    Raises:
      ValueError: if there is no bucket, or a bucket's arrays differ in the number of examples.
    """

    buckets: Sequence[Examples]
    loss: ExampleLoss

    def __post_init__(self) -> None:
        if not self.buckets:
            raise ValueError("ExampleSource: buckets must hold at least one Examples, got none")
        for examples in self.buckets:
            examples.checked()

    def start(self, trainer: Trainer, state: TrainState) -> RunState:
        """Returns the run state before the first epoch.

        Raises:
          ValueError: if the trainer's estimator is not `BPTT()`, with the default engine.
        """
        if trainer.estimator != BPTT():
            hint = "; the loss calls the model, and gives it the engine" if isinstance(trainer.estimator, BPTT) else ""
            raise ValueError(f"ExampleSource: the trainer's estimator must be BPTT(), got {trainer.estimator!r}{hint}")
        return RunState(state, Epoch(jnp.copy(state.key), jnp.zeros_like(state.step)))

    def run(self, trainer: Trainer, state: RunState, steps: int) -> tuple[RunState, StepMetrics]:
        """Trains on the next `steps` batches; epochs follow one another, and 2 + 3 steps equal 5."""
        sizes = tuple(examples.size for examples in self.buckets)
        steps_per_epoch = epoch_steps(self.buckets, trainer.batch_size)
        (training, (key, read)), buckets = place(state), mesh.place_whole(self.buckets)
        first = int(fetch(read)[0])
        orders: list[jax.Array] = []
        metrics = []
        for number in range(first, first + steps):
            epoch, index = divmod(number, steps_per_epoch)
            if index == 0:
                key = jnp.copy(training.key)
            if index == 0 or not orders:
                orders = _orders(key, sizes, trainer.batch_size)
                batches = _batch_sequence(orders, epoch)
            bucket, batch = batches[index]
            training, step_metrics = _step(
                trainer, self.loss, training, orders[bucket], buckets[bucket], jax.device_put(batch)
            )
            metrics.append(step_metrics)
        return RunState(training, Epoch(key, read + jax.device_put(steps))), join(metrics)


def _batch_sequence(orders: Sequence[jax.Array], epoch: int) -> list[tuple[int, int]]:
    """Returns (bucket, batch) for each step of an epoch, in an order that is the same for every seed."""
    batches = [(bucket, n) for bucket, order in enumerate(orders) for n in range(order.shape[1])]
    return [batches[place] for place in np.random.default_rng(epoch).permutation(len(batches))]


@functools.partial(jax.jit, static_argnames=("sizes", "batch_size"))
def _orders(keys: jax.Array, sizes: tuple[int, ...], batch_size: int) -> list[jax.Array]:
    """Returns the examples of every batch of each bucket, [seeds, batches, batch_size]."""

    def seed_orders(key: jax.Array) -> list[jax.Array]:
        orders = []
        for bucket, size in enumerate(sizes):
            order = jax.random.permutation(jax.random.fold_in(key, bucket), size)
            batches = -(-size // batch_size)
            orders.append(order[jnp.arange(batches * batch_size) % size].reshape(batches, batch_size))
        return orders

    return over_seeds(seed_orders, keys)


@functools.partial(jax.jit, static_argnames=("trainer", "loss"), donate_argnames="state")
def _step(
    trainer: Trainer, loss: ExampleLoss, state: TrainState, order: jax.Array, examples: Examples, number: jax.Array
) -> tuple[TrainState, StepMetrics]:
    mesh.check(trainer)

    def step_seed(
        per_seed: tuple[TrainState, jax.Array], examples: Examples, number: jax.Array
    ) -> tuple[TrainState, StepMetrics]:
        state, order = per_seed
        key, key_noise = jax.random.split(state.key)
        batch = _split(examples.take(order[number]))
        value, grads = jax.value_and_grad(loss, argnums=1)(trainer.model, state.params, batch, key_noise)
        state, metrics = descend(trainer, state, key, value, grads)
        return mesh.split_state(state), jax.tree.map(lambda leaf: leaf[None], metrics)

    return over_seeds(step_seed, (state, order), examples, number)


def predict(model: Any, function: Function, params: Any, examples: Examples, batch_size: int) -> Any:
    """Applies a function to every example, batch by batch, all seeds in one program.

    Args:
      model: first argument of `function`; static.
      function: module-level function of the model, parameters and a batch, with results [B, ...]; static.
      params: parameters [seeds, ...].
      examples: examples of one bucket.
      batch_size: number of examples of a batch, if there are so many.

    Returns:
      The results as NumPy arrays [seeds, N, ...].
    """
    static.refuse_class(model, "predict: model")
    size, params = examples.checked().size, place(params)
    batch_size = min(batch_size, size)
    batches = []
    for start in range(0, size, batch_size):
        # The last batch is filled up, so that there is one program; its filling is cut off.
        places = jnp.arange(start, start + batch_size) % size
        results = fetch(_results(model, function, params, _take(examples, places)))
        batches.append(jax.tree.map(lambda leaf, count=size - start: leaf[:, :count], results))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves, axis=1), *batches)


@jax.jit
def _take(examples: Examples, places: jax.Array) -> Examples:
    """Takes a batch, in its own program, so that `function` is compiled per batch shape and not per set size."""
    return examples.take(places)


@functools.partial(jax.jit, static_argnames=("model", "function"))
def _results(model: Any, function: Function, params: Any, batch: Examples) -> Any:
    def seed_results(params: Any, batch: Examples) -> Any:
        return function(model, params, _split(batch))

    return over_seeds(seed_results, params, batch)


def _split(batch: Examples) -> Examples:
    return Examples(mesh.split_batch(batch.steps), mesh.split_batch(batch.whole, 0))
