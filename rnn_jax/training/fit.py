"""A whole training on examples: epochs, a look at the validation part after each, the parameters that were best."""

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnn_jax import checks
from rnn_jax.data import Examples
from rnn_jax.training.examples import Loss, run_epoch
from rnn_jax.training.history import divergence, join
from rnn_jax.training.step import StepMetrics, Trainer, TrainState


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a training gave, so far."""

    params: Any  # [seeds, ...], of each seed those with its least score
    scores: np.ndarray  # [seeds, epochs], on the validation part; the lower the better
    history: StepMetrics  # of NumPy arrays, [seeds, steps]
    seconds: float  # compilation and looks counted in

    @property
    def best(self) -> np.ndarray:
        """The epoch of each seed's parameters, counted from 1; [seeds]."""
        return np.argmin(np.where(np.isnan(self.scores), np.inf, self.scores), axis=1) + 1

    @property
    def lost(self) -> bool:
        """Whether no seed came through the first epoch: there is nothing to be tested."""
        steps = self.history.loss.shape[1] // self.scores.shape[1]
        return not np.isfinite(self.history.loss[:, :steps]).all(axis=1).any()

    @property
    def diverged(self) -> list[str]:
        """Of each seed whose loss or gradient was not finite, a sentence that says when and where."""
        told = [divergence(self.history, seed) for seed in range(len(self.scores))]
        return [sentence for sentence in told if sentence is not None]


class _Stopped(Exception):
    pass


def fit(
    trainer: Trainer,
    loss: Loss,
    buckets: Sequence[Examples],
    state: TrainState,
    epochs: int,
    score: Callable[[Any], Any],
    *,
    looked: Callable[[Fit], None] | None = None,
    advance: Callable[[int], None] | None = None,
    stop: threading.Event | None = None,
) -> Fit | None:
    """Trains all seeds and keeps of each the parameters that are best on the validation part.

    A seed that diverges stays at its last finite parameters and does not hold up the others.

    Args:
      trainer: as `run_epoch`'s.
      loss: likewise.
      buckets: the training examples.
      state: [seeds, ...], from `training.init`; its buffers are given away.
      epochs: how often every example comes.
      score: of parameters [seeds, ...], numbers [seeds] on the validation part, the lower the better; called after
        every epoch.
      looked: called after each of these, with all that there is so far.
      advance: called with 1 after every step that was started.
      stop: once set, the training ends within a step.

    Returns:
      The fit; None where it was stopped.

    Raises:
      ValueError: as `run_epoch`, or where epochs is not a positive integer.
    """
    checks.integer_at_least(1, epochs, "fit: epochs")
    began = time.perf_counter()

    def step_done(steps: int) -> None:
        if advance is not None:
            advance(steps)
        if stop is not None and stop.is_set():
            raise _Stopped

    best = jax.tree.map(jnp.copy, state.params)  # training gives its own away
    scores, pieces = np.empty((len(state.step), 0)), []
    for epoch in range(epochs):
        try:
            state, metrics = run_epoch(trainer, loss, buckets, state, epoch, step_done)
        except _Stopped:
            return None
        pieces.append(metrics)
        found = np.asarray(score(state.params), float)
        better = found < np.min(np.where(np.isnan(scores), np.inf, scores), axis=1, initial=np.inf)
        best = _keep(jnp.asarray(better), state.params, best)
        scores = np.concatenate([scores, found[:, None]], axis=1)
        if looked is not None:
            looked(Fit(best, scores, join(pieces), time.perf_counter() - began))
    return Fit(best, scores, join(pieces), time.perf_counter() - began)


@jax.jit
def _keep(better: jax.Array, new: Any, old: Any) -> Any:
    """Of each seed the new parameters where they are better."""
    return jax.tree.map(lambda n, o: jnp.where(better.reshape(-1, *[1] * (n.ndim - 1)), n, o), new, old)
