"""Training: many seeds in one compiled program."""

from rnn_jax.training.clipping import ClipAdaptively, ClipByNorm, ClipByValue
from rnn_jax.training.evaluation import evaluate
from rnn_jax.training.examples import predict, run_epoch, steps_of
from rnn_jax.training.fit import Fit, fit
from rnn_jax.training.history import divergence, join
from rnn_jax.training.loop import run
from rnn_jax.training.optimizers import SGD, Adam, CosineDecay, RMSProp
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, init, named_leaves
from rnn_jax.training.stream import StreamState, begin_stream, evaluate_stream, run_stream

__all__ = [
    "SGD",
    "Adam",
    "ClipAdaptively",
    "ClipByNorm",
    "ClipByValue",
    "CosineDecay",
    "Fit",
    "RMSProp",
    "StepMetrics",
    "StreamState",
    "TrainState",
    "Trainer",
    "begin_stream",
    "divergence",
    "evaluate",
    "evaluate_stream",
    "fit",
    "init",
    "join",
    "named_leaves",
    "predict",
    "run",
    "run_epoch",
    "run_stream",
    "steps_of",
]
