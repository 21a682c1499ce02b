"""A whole training on examples: epochs, a look at the validation part after each, the parameters that were best."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnn_jax import checks
from rnn_jax.data import Examples
from rnn_jax.seeds import fetch
from rnn_jax.training.examples import Loss, begin_examples, run_examples, steps_of
from rnn_jax.training.history import divergence
from rnn_jax.training.session import Session
from rnn_jax.training.step import StepMetrics, Trainer, TrainState
from rnn_jax.training.training_loop import Progress, train

LOG_POINTS = 20  # of an epoch, or as many as it has steps


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a training gave, so far."""

    params: Any  # [seeds, ...], of each seed those with its least score
    scores: np.ndarray  # [seeds, epochs], on the validation part; the lower the better
    history: StepMetrics  # of NumPy arrays, [seeds, steps]
    seconds: float  # of all sittings, compilation and looks counted in

    @property
    def best(self) -> np.ndarray:
        """The epoch of each seed's parameters, counted from 1; [seeds]."""
        return np.argmin(np.where(np.isnan(self.scores), np.inf, self.scores), axis=1) + 1

    @property
    def lost(self) -> bool:
        """Whether no seed came through the first epoch: there is nothing to be tested."""
        last = self.history.loss.shape[1] // self.scores.shape[1] - 1
        return not np.isfinite(self.history.loss[:, last]).any()

    @property
    def diverged(self) -> list[str]:
        """Of each seed whose loss or gradient was not finite, a sentence that says when and where."""
        told = [divergence(self.history, seed) for seed in range(len(self.scores))]
        return [sentence for sentence in told if sentence is not None]


def fit(
    trainer: Trainer,
    loss: Loss,
    buckets: Sequence[Examples],
    state: TrainState,
    epochs: int,
    score: Callable[[Any], Any],
    *,
    looked: Callable[[Fit], None] | None = None,
    session: Session = Session(),
) -> Fit | None:
    """Trains all seeds and keeps of each the parameters that are best on the validation part.

    A seed that diverges does not hold up the others; what becomes of it, the trainer says.

    Args:
      trainer: as `run_examples`'s.
      loss: likewise.
      buckets: the training examples.
      state: [seeds, ...], from `training.init`; its buffers are given away.
      epochs: how often every example comes.
      score: of parameters [seeds, ...], numbers [seeds] on the validation part, the lower the better; called after
        every epoch.
      looked: called after each of these, with all that there is so far.
      session: as `train`'s.

    Returns:
      The fit; None where it was stopped.

    Raises:
      ValueError: as `run_examples`, or where epochs is not a positive integer.
      CheckpointError: as `train`.
    """
    checks.integer_at_least(1, epochs, "fit: epochs")
    of_epoch = max(1, steps_of(buckets, trainer.batch_size))

    def look(progress: Progress) -> dict[str, np.ndarray]:
        return {"score": np.asarray(fetch(score(progress.training.params)), float)}

    def after_look(progress: Progress) -> bool:
        if looked is not None:
            looked(_fit(progress))
        return False

    progress = train(
        trainer,
        functools.partial(run_examples, trainer, loss, buckets),
        begin_examples(state),
        epochs * of_epoch,
        log_every=-(-of_epoch // LOG_POINTS),
        look=look,
        look_every=of_epoch,
        best_by="score",
        looked=after_look,
        session=session,
    )
    return None if progress is None else _fit(progress)


def _fit(progress: Progress) -> Fit:
    return Fit(progress.best, progress.curves["score"], progress.history, progress.seconds)
