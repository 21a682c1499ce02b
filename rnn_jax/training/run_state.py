"""The state of a run: everything that changes from step to step."""

from typing import Any, NamedTuple

from rnn_jax.training.step import TrainState


class RunState(NamedTuple):
    """Everything that changes during a run; every leaf is [seeds, ...]."""

    training: TrainState
    cursor: Any  # position in the source: () for a task, the estimator's carry for streams, an `Epoch` for examples
