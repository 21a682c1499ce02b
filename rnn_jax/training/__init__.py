"""Training: many seeds in one compiled program."""

from rnn_jax.training.evaluation import evaluate
from rnn_jax.training.loop import StepMetrics, Trainer, TrainState, init, run

__all__ = ["StepMetrics", "TrainState", "Trainer", "evaluate", "init", "run"]
