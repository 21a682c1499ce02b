"""The progress of a training: its state, its history, its evaluations."""

from typing import Any, NamedTuple

import numpy as np

from rnn_jax.training.history import join
from rnn_jax.training.run_state import RunState
from rnn_jax.training.step import StepMetrics, TrainState


class Progress(NamedTuple):
    """A training so far; a run's folder holds all of it, the metrics, paces and curves in its history."""

    state: RunState  # [seeds, ...]
    best: Any  # parameters [seeds, ...] of each seed's best evaluation; () if none are kept
    good: Any  # with `RollBack`, the state at the log point after which each seed's loss was least; else ()
    good_loss: np.ndarray  # that loss, [seeds]
    steps: int  # optimization steps done
    seconds: float  # of all sittings, including compilation and evaluation
    paces: np.ndarray  # seconds per step of each chunk between two log points
    chunks: tuple[StepMetrics, ...]  # metrics of consecutive chunks, NumPy arrays [seeds, steps of the chunk]
    eval_steps: np.ndarray  # optimization steps done at each evaluation, [evaluations]
    curves: dict[str, np.ndarray]  # results of the evaluations, [seeds, evaluations, ...]

    @property
    def training(self) -> TrainState:
        """Parameters, optimizer state and counters of each seed."""
        return self.state.training

    @property
    def history(self) -> StepMetrics:
        """Metrics of every step, NumPy arrays [seeds, steps]."""
        return join(self.chunks)

    @property
    def pace(self) -> float:
        """Seconds per step of all seeds, the median over all chunks but the first, which compiles."""
        return float(np.median(self.paces[1:])) if len(self.paces) > 1 else float("nan")
