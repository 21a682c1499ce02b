"""Search of the learning rate before a training, the same for every network that is compared."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common.runner import init_state
from rnn_jax import tasks, training

SHARE = 0.5  # of the training's steps, for which each rate is tried
_VALIDATION = 1_000_003  # number folded into the key of the seeds
JUDGED = 0.1  # share of these steps, the last ones, over which the loss is averaged


class Choice(NamedTuple):
    """A learning rate, and the seconds that its search took."""

    rate: float
    seconds: float


def with_rates(state: training.TrainState, trainer: training.Trainer, rates: np.ndarray) -> training.TrainState:
    """Returns a train state whose seeds have learning rates [seeds] of their own.

    They are arguments of the training's program, so that all rates share it. The trainer's optimizer is Adam.
    """
    assert isinstance(trainer.optimizer, training.Adam)
    return state._replace(rate=jnp.asarray(rates / trainer.optimizer.learning_rate, state.rate.dtype))


def choose(
    trainer: training.Trainer,
    program: training.Trainer,
    task: tasks.Task,
    rates: tuple[float, ...],
    seed: int,
    steps: int,
    log_every: int,
    session: training.Session,
) -> Choice | None:
    """Chooses the rate with the least training loss at the end of a shorter training, on a validation seed each.

    Training loss, as every batch of a synthetic task is new, and no test sequence may decide.

    Args:
      trainer: trainer with Adam.
      program: the trainer whose program is run, which may lack the initialisers.
      task: task to train on.
      rates: learning rates to try.
      seed: seed of the training to come; the validation seeds are others.
      steps: optimization steps of the training to come.
      log_every: optimization steps of one chunk.
      session: progress reports, stop signal and checkpoints; the search has a folder of its own.

    Returns:
      The choice; if no loss is finite, the least rate. None if the session was stopped.
    """
    keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), _VALIDATION), len(rates))
    state = init_state(trainer, keys)
    state = with_rates(state, trainer, np.array(rates))
    folder = None if session.folder is None else f"{session.folder}/search"
    session = dataclasses.replace(session, folder=folder)
    progress = training.train(program, task, state, search_steps(steps), log_every=log_every, session=session)
    if progress is None:
        return None
    last = progress.history.loss[:, -max(1, round(JUDGED * progress.steps)) :]
    losses = np.nan_to_num(np.mean(last, axis=1), nan=np.inf, posinf=np.inf)
    best = rates[int(np.argmin(losses))] if np.isfinite(losses).any() else min(rates)
    return Choice(best, progress.seconds)


def search_steps(steps: int) -> int:
    """Returns the optimization steps of the search before a training of `steps`."""
    return max(1, round(SHARE * steps))
