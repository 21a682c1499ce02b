"""Trains all seeds of one item, with looks at the test set on the way."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from experiments.common import parallel
from experiments.long_dependency.config import Item
from experiments.long_dependency.result import Result
from rnn_jax import initializers, tasks, training
from rnn_jax.seeds import fetch

TEST_BATCH = 256
LONGEST_PIECE = 50  # optimization steps


class Outcome(NamedTuple):
    """All that an item gave."""

    result: Result
    history: training.StepMetrics  # of NumPy arrays, [seeds, steps]


def measure(
    item: Item,
    seeds: int,
    seed: int,
    standing: Callable[[Result], None],
    session: training.Session,
) -> Outcome | None:
    """Trains an item.

    Args:
      item: what to train.
      seeds: runs of it.
      seed: from which every random number follows; items do not depend on what else is run.
      standing: called with what is known after every look at the test set.
      session: who is told, what ends it, where it is kept; its work is counted in steps of the recurrence.

    Returns:
      The outcome; None where it was stopped.
    """
    recipe, task = item.recipe, item.task
    key_seeds, key_test = jax.random.split(jax.random.key(seed))
    trainer = initializers.without_initializers(item.trainer)  # beginnings of a cell share its compiled programs
    waiting = dataclasses.replace(Result.waiting(item, seeds), parameters=item.trainer.parameters)

    def evaluate(progress: training.Progress) -> dict[str, np.ndarray]:
        """The whole test set where a seed may have solved the task or all is over, else one batch of it."""
        params = progress.training.params
        found = training.evaluate(trainer.model, task, params, key_test, TEST_BATCH, batches=1)
        solved_at = _result(waiting, progress).solved_at
        new = [now and step is None for now, step in zip(_solved(task, found), solved_at, strict=True)]
        last = progress.steps == recipe.steps or bool(np.all(fetch(progress.training.diverged)))
        if last or any(new):
            found = training.evaluate(trainer.model, task, params, key_test, TEST_BATCH)
        return found | {"solved": np.array(_solved(task, found))}

    def stop_if(progress: training.Progress) -> bool:
        lost, result = fetch(progress.training.diverged), _result(waiting, progress)
        solved = all(step is not None or gone for step, gone in zip(result.solved_at, lost, strict=True))
        over = progress.steps == recipe.steps or bool(lost.all()) or (recipe.until_solved and solved)
        if not over:
            standing(result)
        return over

    progress = training.train(
        trainer,
        task,
        parallel.begin(item.trainer, jax.random.split(key_seeds, seeds)),
        recipe.steps,
        log_every=_piece(recipe.evaluate_every),
        evaluate=evaluate,
        eval_every=recipe.evaluate_every,
        stop_if=stop_if,
        session=dataclasses.replace(session, advance=lambda steps: session.advance(steps * task.sequence_length)),
    )
    if progress is None:
        return None
    result = dataclasses.replace(_result(waiting, progress), finished=True)
    standing(result)
    return Outcome(result, progress.history)


def _result(waiting: Result, progress: training.Progress) -> Result:
    """All that is known at a look."""
    lost, curves = fetch(progress.training.diverged), dict(progress.curves)
    solved = curves.pop("solved", np.empty((waiting.seeds, 0), bool))
    return dataclasses.replace(
        waiting,
        steps=progress.eval_steps.tolist(),
        curves={name: values.astype(float).tolist() for name, values in curves.items()},
        solved=solved.tolist(),
        diverged=[training.divergence(progress.history, seed) if lost[seed] else None for seed in range(waiting.seeds)],
        seconds=progress.seconds,
        sequences_per_second=waiting.batch_size * waiting.seeds / progress.pace,
    )


def _solved(task: tasks.Task, found: dict[str, np.ndarray]) -> list[bool]:
    """Whether each seed meets the task's criterion."""
    seeds = range(len(found["loss"]))
    return [bool(task.solved({metric: float(values[seed]) for metric, values in found.items()})) for seed in seeds]


def _piece(evaluate_every: int) -> int:
    """Steps of one call: few, as an interrupt waits for its end; of one number, as each other is compiled anew."""
    return max(n for n in range(1, LONGEST_PIECE + 1) if evaluate_every % n == 0)
