"""Training: one loop for tasks, streams and examples, many seeds in one compiled program."""

from rnn_jax.training.checkpoints import CheckpointError, Checkpoints, differences
from rnn_jax.training.clipping import ClipAdaptively, ClipByNorm, ClipByValue
from rnn_jax.training.example_source import ExampleSource, epoch_steps, predict
from rnn_jax.training.fitting import Fit, fit
from rnn_jax.training.history import divergence, join
from rnn_jax.training.not_finite import RollBack, Skip, Stop
from rnn_jax.training.optimizers import SGD, Adam, AdamW, ByName, CosineDecay, Optax, RMSProp
from rnn_jax.training.progress import Progress
from rnn_jax.training.run_state import RunState
from rnn_jax.training.session import Session
from rnn_jax.training.sources import evaluate, run, start
from rnn_jax.training.step import StepMetrics, Trainer, TrainState, init
from rnn_jax.training.training_loop import train

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "ByName",
    "CheckpointError",
    "Checkpoints",
    "ClipAdaptively",
    "ClipByNorm",
    "ClipByValue",
    "CosineDecay",
    "ExampleSource",
    "Fit",
    "Optax",
    "Progress",
    "RMSProp",
    "RollBack",
    "RunState",
    "Session",
    "Skip",
    "StepMetrics",
    "Stop",
    "TrainState",
    "Trainer",
    "differences",
    "divergence",
    "epoch_steps",
    "evaluate",
    "fit",
    "init",
    "join",
    "predict",
    "run",
    "start",
    "train",
]
