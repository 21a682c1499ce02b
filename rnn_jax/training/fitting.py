"""Training on examples by epochs: a validation score after each, and the parameters that scored best."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnn_jax import checks, static
from rnn_jax.data import Examples
from rnn_jax.seeds import fetch
from rnn_jax.training.example_source import ExampleLoss, ExampleSource, epoch_steps
from rnn_jax.training.history import divergence
from rnn_jax.training.progress import Progress
from rnn_jax.training.session import Session
from rnn_jax.training.step import StepMetrics, Trainer, TrainState
from rnn_jax.training.training_loop import train

LOG_POINTS = 20  # per epoch, or as many as it has steps


@dataclasses.dataclass(frozen=True)
class Fit:
    """The result of `fit` so far."""

    params: Any  # parameters [seeds, ...] of the epoch with each seed's least score
    scores: np.ndarray  # validation scores [seeds, epochs], lower is better
    history: StepMetrics  # NumPy arrays [seeds, steps]
    seconds: float  # of all sittings, including compilation and scoring

    @property
    def best(self) -> np.ndarray:
        """The epoch of each seed's parameters, counted from 1; [seeds]."""
        return np.argmin(np.where(np.isnan(self.scores), np.inf, self.scores), axis=1) + 1

    @property
    def failed(self) -> bool:
        """Whether every seed diverged within the first epoch, so that no parameters are worth testing."""
        last = self.history.loss.shape[1] // self.scores.shape[1] - 1
        return not np.isfinite(self.history.loss[:, last]).any()

    @property
    def diverged(self) -> list[str]:
        """A sentence for each seed that diverged, with its step and the parameters concerned."""
        sentences = [divergence(self.history, seed) for seed in range(len(self.scores))]
        return [sentence for sentence in sentences if sentence is not None]


def fit(
    trainer: Trainer,
    loss: ExampleLoss,
    buckets: Sequence[Examples],
    state: TrainState,
    epochs: int,
    score: Callable[[Any], Any],
    *,
    on_epoch: Callable[[Fit], None] | None = None,
    session: Session | None = None,
) -> Fit | None:
    """Trains all seeds on examples, and keeps each seed's parameters of the epoch with the best validation score.

    A short form of `train` on an `ExampleSource`. A seed that diverges does not stop the others; the trainer's
    `not_finite` policy decides about it.

    >>> import jax, numpy as np
    >>> from rnn_jax import GRU, data, models, training
    >>> xs = np.random.default_rng(0).normal(size=(5, 64, 1))
    >>> examples = data.Examples(steps=xs, whole=(xs[0, :, 0] > 0).astype(int))  # the sign of the first step
    >>> def loss(model, params, batch, key):
    ...     return model.loss(params, batch.steps, batch.whole, key=key)
    >>> def errors(model, params, batch):
    ...     return model.apply(params, batch.steps).argmax(-1) != batch.whole
    >>> trainer = training.Trainer(models.Classifier(GRU(1, 8), 2), 8, training.Adam(0.03), training.ClipByNorm(1.0))
    >>> score = lambda params: training.predict(trainer.model, errors, params, examples, 64).mean(axis=1)
    >>> state = training.init(trainer, jax.random.split(jax.random.key(0), 2))  # two seeds
    >>> fit = training.fit(trainer, loss, [examples], state, 10, score)
    >>> fit.scores.shape, fit.scores.min(axis=1) < 0.1
    ((2, 10), array([ True,  True]))

    Args:
      trainer: model, batch size, optimizer and policy for NaN; its estimator must be `BPTT()`.
      loss: mean loss of a batch, a module-level function `loss(model, params, batch, key)`.
      buckets: training examples, each bucket with its own shapes.
      state: train state [seeds, ...] from `init`; its buffers are donated.
      epochs: number of passes over the examples.
      score: function of parameters [seeds, ...] that returns validation scores [seeds], lower is better; called after
        every epoch.
      on_epoch: function called after every epoch with the result so far.
      session: folder for checkpoints and metrics, messages, and the event that stops the training; None: none of
        them.

    Returns:
      The result; None if the session stopped the training.

    Raises:
      ValueError: if there is no bucket, the estimator is not `BPTT()`, or epochs is not a positive integer.
      CheckpointError: if a checkpoint cannot be written, or those in the folder do not fit this training.
    """
    static.refuse_class(trainer, "fit: trainer")
    checks.integer_at_least(1, epochs, "fit: epochs")
    source = ExampleSource(buckets, loss)
    steps = epoch_steps(buckets, trainer.batch_size)

    def evaluate(progress: Progress) -> dict[str, np.ndarray]:
        return {"score": np.asarray(fetch(score(progress.training.params)), float)}

    def report(progress: Progress) -> bool:
        if on_epoch is not None:
            on_epoch(_fit(progress))
        return False

    progress = train(
        trainer,
        source,
        state,
        epochs * steps,
        log_every=-(-steps // LOG_POINTS),
        evaluate=evaluate,
        eval_every=steps,
        best_by="score",
        stop_if=report,
        session=session,
    )
    return None if progress is None else _fit(progress)


def _fit(progress: Progress) -> Fit:
    return Fit(progress.best, progress.curves["score"], progress.history, progress.seconds)
