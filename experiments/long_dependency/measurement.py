"""Trains all seeds of one item and evaluates them on the test set on the way.

With equal terms, the learning rate is searched for first, and the memory is measured before and after.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from experiments.common import moments, rate_search, step_times
from experiments.common.records import solved_seeds
from experiments.common.runner import init_state
from experiments.long_dependency.config import Item
from experiments.long_dependency.result import Result
from rnn_jax import initializers, training
from rnn_jax.seeds import fetch

TEST_BATCH = 256
LONGEST_CHUNK = 50  # optimization steps


class Outcome(NamedTuple):
    """A finished item."""

    result: Result
    history: training.StepMetrics  # of NumPy arrays, [seeds, steps]


def measure(
    item: Item, seeds: int, seed: int, update: Callable[[Result], None], session: training.Session
) -> Outcome | None:
    """Trains an item.

    Args:
      item: recipe, task and trainer.
      seeds: number of runs.
      seed: seed from which every random number follows; items do not depend on each other.
      update: function called with the result so far after every evaluation.
      session: progress reports, stop signal and checkpoints; work is counted in steps of the recurrence.

    Returns:
      The outcome; None if the session was stopped.
    """
    recipe, task, terms = item.recipe, item.task, item.recipe.terms
    key_seeds, key_test = jax.random.split(jax.random.key(seed))
    trainer = initializers.without_initializers(item.trainer)  # initialisations of a cell share its compiled programs
    waiting = dataclasses.replace(Result.waiting(item, seeds), parameters=item.trainer.parameters)
    advance, chunk = session.advance, _chunk(recipe.evaluate_every)
    session = dataclasses.replace(session, advance=lambda steps: advance(steps * task.sequence_length))
    state = init_state(item.trainer, jax.random.split(key_seeds, seeds))
    memory = functools.partial(moments.measure_memory, trainer.model, task, key=key_test)
    if terms is not None:
        choice = rate_search.choose(item.trainer, trainer, task, terms.rates, seed, recipe.steps, chunk, session)
        if choice is None:
            return None
        state = rate_search.with_rates(state, item.trainer, np.full(seeds, choice.rate))
        before = _listed(memory(params=state.params))
        waiting = dataclasses.replace(waiting, learning_rate=choice.rate, seconds=choice.seconds, before=before)

    def evaluate(progress: training.Progress) -> dict[str, np.ndarray]:
        """Evaluates one batch; the whole test set if a seed may have solved the task, or training is over."""
        params = progress.training.params
        metrics = training.evaluate(trainer.model, task, params, key_test, TEST_BATCH, batches=1)
        solved_at = _result(waiting, progress).solved_at
        new = [now and step is None for now, step in zip(solved_seeds(task, metrics), solved_at, strict=True)]
        last = progress.steps == recipe.steps or bool(np.all(fetch(progress.training.diverged)))
        if last or any(new):
            metrics = training.evaluate(trainer.model, task, params, key_test, TEST_BATCH)
        return metrics | {"solved": np.array(solved_seeds(task, metrics))}

    def stop_if(progress: training.Progress) -> bool:
        diverged, result = fetch(progress.training.diverged), _result(waiting, progress)
        settled = all(step is not None or lost for step, lost in zip(result.solved_at, diverged, strict=True))
        over = progress.steps == recipe.steps or bool(diverged.all()) or (recipe.until_solved and settled)
        if not over:
            update(result)
        return over

    progress = training.train(
        trainer,
        task,
        state,
        recipe.steps,
        log_every=chunk,
        evaluate=evaluate,
        eval_every=recipe.evaluate_every,
        stop_if=stop_if,
        session=session,
    )
    if progress is None:
        return None
    result = dataclasses.replace(_result(waiting, progress), finished=True)
    if item.reference is not None:
        after = _listed(memory(params=progress.training.params))
        time = step_times.ratio(trainer, item.reference, task, seeds, chunk)
        result = dataclasses.replace(result, after=after, step_time=time)
    update(result)
    return Outcome(result, progress.history)


def _result(waiting: Result, progress: training.Progress) -> Result:
    """Returns the result as of an evaluation."""
    diverged, curves = fetch(progress.training.diverged), dict(progress.curves)
    solved = curves.pop("solved", np.empty((waiting.seeds, 0), bool))
    messages = [training.divergence(progress.history, s) if diverged[s] else None for s in range(waiting.seeds)]
    return dataclasses.replace(
        waiting,
        steps=progress.eval_steps.tolist(),
        curves={name: values.astype(float).tolist() for name, values in curves.items()},
        solved=solved.tolist(),
        diverged=messages,
        seconds=waiting.seconds + progress.seconds,
        sequences_per_second=waiting.batch_size * waiting.seeds / progress.pace,
    )


def _listed(memory: dict[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in memory.items()}


def _chunk(evaluate_every: int) -> int:
    """Returns the steps of one chunk: few, as an interrupt waits for its end; all equal, as each size compiles anew."""
    return max(n for n in range(1, LONGEST_CHUNK + 1) if evaluate_every % n == 0)
