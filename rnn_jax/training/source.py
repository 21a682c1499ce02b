"""The contract of a source of batches, and the state of a run that trains on one."""

from typing import Any, NamedTuple, Protocol

from rnn_jax.training.step import StepMetrics, Trainer, TrainState


class RunState(NamedTuple):
    """Everything that changes during a run; every leaf is [seeds, ...]."""

    training: TrainState
    cursor: Any  # position in the source: () for a task, the estimator's carry for a stream, an `Epoch` for examples


class Source(Protocol):
    """Batches to train on."""

    def start(self, trainer: Trainer, state: TrainState) -> RunState:
        """Returns the run state before the first batch; the buffers of `state` are shared with it."""
        ...

    def run(self, trainer: Trainer, state: RunState, steps: int) -> tuple[RunState, StepMetrics]:
        """Trains all seeds on the next `steps` batches; donates the buffers of `state`."""
        ...
