"""Batches of a task, sampled inside the compiled program: a scan over optimization steps, all seeds in one program."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import mesh
from rnn_jax.gradients import task_loss
from rnn_jax.models import ReadoutModel
from rnn_jax.seeds import fetch, in_groups, over_seeds, place
from rnn_jax.tasks import Batch, Task
from rnn_jax.training.run_state import RunState
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, descend


@dataclasses.dataclass(frozen=True)
class TaskSource:
    """A task as a source of batches."""

    task: Task

    def start(self, trainer: Trainer[ReadoutModel], state: TrainState) -> RunState:
        """Returns the run state before the first batch; a task has no cursor."""
        del trainer
        return RunState(state, ())

    def run(self, trainer: Trainer[ReadoutModel], state: RunState, steps: int) -> tuple[RunState, StepMetrics]:
        """Trains on `steps` new batches. On a CPU, groups of seeds run in parallel if the cores divide the seeds."""

        def run_group(group: TrainState) -> tuple[TrainState, StepMetrics]:
            return _run(trainer, self.task, group, steps)

        trained, metrics = in_groups(run_group, place(state.training))
        return RunState(trained, ()), metrics


@functools.partial(jax.jit, static_argnames=("trainer", "steps"), donate_argnames="state")
def _run(trainer: Trainer[ReadoutModel], task: Task, state: TrainState, steps: int) -> tuple[TrainState, StepMetrics]:
    model, estimator = trainer.model, trainer.estimator
    mesh.check(trainer)

    def train_step(state: TrainState, task: Task) -> tuple[TrainState, StepMetrics]:
        key, key_batch, key_noise = jax.random.split(state.key, 3)
        batch = mesh.split_batch(task.sample(key_batch, trainer.batch_size))
        carry = estimator.init(model.cell, state.params, batch.inputs, key=key_noise)
        batch_loss = task_loss(model, task, batch)
        loss, grads, _ = estimator(model.cell, batch_loss, state.params, carry, batch.inputs, batch)
        return mesh.split_state(descend(trainer, state, key, loss, grads))

    def run_seed(state: TrainState, task: Task) -> tuple[TrainState, StepMetrics]:
        return jax.lax.scan(lambda state, _: train_step(state, task), state, length=steps)

    return over_seeds(run_seed, state, task)


def task_metrics(
    model: ReadoutModel, task: Task, params: Any, key: jax.Array, batch_size: int, batches: int | None
) -> dict[str, np.ndarray]:
    """Returns the task's metrics over its test set; see `evaluate`."""
    params = place(params)
    results, of_loss, of_others = [], [], []
    for index in range(-(-task.test_size // batch_size))[:batches]:
        batch = _test_batch(task, key, jnp.array(index), batch_size)
        results.append(fetch(_metrics(model, task, params, batch)))
        of_loss.append(jnp.sum(batch.weights))
        of_others.append(jnp.sum(task.scored(batch)))

    def mean(name: str) -> np.ndarray:
        # A batch counts by the steps that its mean is over, whose number differs between batches of unequal lengths.
        weights = np.array(of_loss if name == "loss" else of_others)
        return np.average([each[name] for each in results], axis=0, weights=weights)

    return {name: mean(name) for name in results[0]}


@functools.partial(jax.jit, static_argnames="batch_size")
def _test_batch(task: Task, key: jax.Array, index: jax.Array, batch_size: int) -> Batch:
    return task.test_batch(key, index, batch_size)


@functools.partial(jax.jit, static_argnames="model")
def _metrics(model: ReadoutModel, task: Task, params: Any, batch: Batch) -> dict[str, jax.Array]:
    def seed_metrics(params: Any, task: Task, batch: Batch) -> dict[str, jax.Array]:
        batch = mesh.split_batch(batch)
        _, outputs = model.apply(params, batch.inputs, key=None)
        return task.metrics(outputs, batch)

    return over_seeds(seed_metrics, params, task, batch)
