"""What the measurements come to: the few numbers that the records, the table, the figures and the words share."""

from collections.abc import Callable

import numpy as np

from experiments.dynamics.config import Run
from experiments.dynamics.measurement import Look, Outcome

Pair = tuple[Run, Outcome]


def largest(look: Look) -> np.ndarray:
    """The largest Lyapunov exponent [seeds], nats per step."""
    return look.lyapunov[:, 0]


def memories(run: Run, look: Look) -> np.ndarray:
    """How many directions [seeds] keep more than 1/e of a difference over the task's longest dependency D.

    Those whose exponent is above -1/D.
    """
    return np.sum(look.lyapunov > -1 / run.task.dependency, axis=1)


def kept(look: Look) -> np.ndarray:
    """The largest singular value of ds_T/ds_{T-D} [seeds], as a natural logarithm."""
    return look.log_singular_values[:, -1, 0]


def over_steps(outcome: Outcome, quantity: Callable[[Look], np.ndarray]) -> np.ndarray:
    """A quantity at every checkpoint, [seeds, checkpoints]."""
    return np.stack([quantity(look) for look in outcome.looks], axis=1)


def solved(run: Run, outcome: Outcome) -> list[bool]:
    """Whether each seed meets the task's criterion."""
    seeds = range(len(outcome.history.loss))
    return [run.task.solved({name: float(v[s]) for name, v in outcome.metrics["after"].items()}) for s in seeds]


def median_range(values: np.ndarray, digits: int = 3) -> str:
    """Of the seeds: the median, and in brackets the least and the most."""
    middle, least, most = (f"{of(values):.{digits}f}" for of in (np.median, np.min, np.max))
    return f"{middle} [{least}, {most}]"
