"""Training: many seeds in one compiled program."""

from rnn_jax.training.checkpoints import CheckpointError, Checkpoints, differences
from rnn_jax.training.clipping import ClipAdaptively, ClipByNorm, ClipByValue
from rnn_jax.training.evaluation import evaluate
from rnn_jax.training.examples import ExamplesState, begin_examples, predict, run_examples, steps_of
from rnn_jax.training.fitting import Fit, fit
from rnn_jax.training.history import divergence, join
from rnn_jax.training.loop import run
from rnn_jax.training.not_finite import RollBack, Skip, Stop
from rnn_jax.training.optimizers import SGD, Adam, CosineDecay, RMSProp
from rnn_jax.training.session import Session
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, init, named_leaves
from rnn_jax.training.stream import StreamState, begin_stream, evaluate_stream, run_stream
from rnn_jax.training.training_loop import Progress, train

__all__ = [
    "SGD",
    "Adam",
    "CheckpointError",
    "Checkpoints",
    "ClipAdaptively",
    "ClipByNorm",
    "ClipByValue",
    "CosineDecay",
    "ExamplesState",
    "Fit",
    "Progress",
    "RMSProp",
    "RollBack",
    "Session",
    "Skip",
    "StepMetrics",
    "Stop",
    "StreamState",
    "TrainState",
    "Trainer",
    "begin_examples",
    "begin_stream",
    "differences",
    "divergence",
    "evaluate",
    "evaluate_stream",
    "fit",
    "init",
    "join",
    "named_leaves",
    "predict",
    "run",
    "run_examples",
    "run_stream",
    "steps_of",
    "train",
]
