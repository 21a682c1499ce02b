"""The sources of batches: tasks, streams and examples, chosen by type; and the functions that run and evaluate on them.

A new source is one file with a class that has `start` and `run`, and one line in `as_source`.
"""

from typing import Any, Protocol

import jax
import numpy as np

from rnn_jax import static
from rnn_jax.data import Streams
from rnn_jax.models import ReadoutModel
from rnn_jax.tasks import Task
from rnn_jax.training.example_source import ExampleSource
from rnn_jax.training.run_state import RunState
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, check_state
from rnn_jax.training.stream_source import StreamSource, stream_metrics
from rnn_jax.training.task_source import TaskSource, task_metrics

Batches = Task | Streams | ExampleSource


class Source(Protocol):
    """Batches to train on."""

    def start(self, trainer: Trainer, state: TrainState) -> RunState:
        """Returns the run state before the first batch; it shares the buffers of `state`."""
        ...

    def run(self, trainer: Trainer, state: RunState, steps: int) -> tuple[RunState, StepMetrics]:
        """Trains all seeds on the next `steps` batches; donates the buffers of `state`."""
        ...


def as_source(source: Batches) -> Source:
    """Returns the source of batches for a task, streams or examples.

    Raises:
      TypeError: if it is none of these.
    """
    if isinstance(source, Task):
        return TaskSource(source)
    if isinstance(source, Streams):
        return StreamSource(source)
    if isinstance(source, ExampleSource):
        return source
    static.refuse_class(source, "source")
    raise TypeError(f"source must be a Task, Streams or an ExampleSource, got {type(source).__name__}")


def start(trainer: Trainer, source: Batches, state: TrainState) -> RunState:
    """Returns the state of a run before its first batch.

    Args:
      trainer: model, batch size, optimizer and estimator; static.
      source: task, streams or `ExampleSource` to train on.
      state: train state [seeds, ...] from `init`.

    Raises:
      TypeError, ValueError: if the state is not one of all seeds.
    """
    static.refuse_class(trainer, "training.start: trainer")
    batches = as_source(source)
    check_state(state, "training.start")
    return batches.start(trainer, state)


def run(trainer: Trainer, source: Batches, state: RunState, steps: int) -> tuple[RunState, StepMetrics]:
    """Trains all seeds for `steps` optimization steps without a log point, checkpoint or transfer to the host.

    On tasks and streams this is one compiled program.

    Args:
      trainer: model, batch size, optimizer and estimator; static.
      source: task, streams or `ExampleSource` to train on.
      state: run state [seeds, ...] from `start` or an earlier `run`; its buffers are donated.
      steps: number of steps; static.

    Returns:
      The new state, and the metrics of every step, [seeds, steps].
    """
    static.refuse_class(trainer, "training.run: trainer")
    return as_source(source).run(trainer, state, steps)


def evaluate(
    model: ReadoutModel,
    source: Task | Streams,
    params: Any,
    key: jax.Array | None = None,
    batch_size: int | None = None,
    batches: int | None = None,
) -> dict[str, np.ndarray]:
    """Evaluates all seeds on the test set of a task, or on whole streams, in one program.

    On streams the result is `loss`, in nats per token, the mean over every target; the state is carried from their
    start. For examples see `predict`.

    Args:
      model: a trainer's model; compared by value, so an equal one is not compiled again.
      source: task or streams.
      params: parameters [seeds, ...].
      key: key that draws the test set of a synthetic task, the same for every seed; tasks only.
      batch_size: number of sequences of a batch; tasks only, as streams have their own.
      batches: number of batches to evaluate at most; None: the whole test set. Tasks only.

    Returns:
      Each metric by name, [seeds].

    Raises:
      ValueError: if the source is a task and key or batch_size is missing.
    """
    static.refuse_class(model, "evaluate: model")
    static.refuse_class(source, "evaluate: source")
    if isinstance(source, Streams):
        return stream_metrics(model, source, params)
    if key is None or batch_size is None:
        raise ValueError("evaluate: a task needs key and batch_size, got None")
    return task_metrics(model, source, params, key, batch_size, batches)
