"""What a run and its outcome come to: the few numbers and names that the table, the figures and the words share."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.gradient_norms.config import Run
from experiments.gradient_norms.measurement import Outcome, Phase
from rnn_jax.diagnostics import Decay, fit_decay

Pair = tuple[Run, Outcome]


def by_task(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """The pairs under the name of their task, in order."""
    names = dict.fromkeys(run.task_name for run, _ in pairs)
    return {name: [pair for pair in pairs if pair[0].task_name == name] for name in names}


def relative(phase: Phase) -> np.ndarray:
    """||dL/ds_{T-k}|| / ||dL/ds_T|| [seeds, lags], for the loss at the last step; zero for a dead network."""
    norms = phase.reach["last_step"]["total"].astype(np.float64)
    return norms / np.where(norms[:, :1] > 0, norms[:, :1], 1)


def decay(phase: Phase) -> Decay:
    """The median over seeds of each quantity, of those seeds that have it."""
    each = np.array([fit_decay(norms) for norms in phase.reach["last_step"]["total"]])
    known = ~np.isnan(each)
    return Decay(*(float(np.median(q[k])) if k.any() else math.nan for q, k in zip(each.T, known.T, strict=True)))


def reach(phase: Phase, lag: int) -> float:
    """The share of the last step's gradient that reaches back `lag` steps, median over seeds."""
    return float(np.median(relative(phase)[:, lag]))


def solved(run: Run, outcome: Outcome) -> list[bool]:
    """Whether each seed meets the task's criterion."""
    seeds = range(len(outcome.history.loss))
    return [run.task.solved({name: float(v[seed]) for name, v in outcome.after.metrics.items()}) for seed in seeds]


def task_title(run: Run) -> str:
    """The task, its variant, T, and the steps with padding where they are more."""
    task = run.task
    padded = f", {task.sequence_length} steps" if task.sequence_length != task.length else ""
    return f"{run.task_name} ({task.variant}), T = {task.length}{padded}"


def cell(run: Run) -> str:
    """The cell's name, of module:Class the class."""
    return run.cell_name.rpartition(":")[2]


def line(run: Run) -> str:
    """Names a line of a figure: cell and initialisation."""
    return f"{cell(run)}/{run.initialisation}"


def number(value: float) -> str:
    """Two figures, or the whole part; a power of ten below a hundredth and from ten thousand."""
    if math.isnan(value):
        return "-"
    if value and not 0.01 <= abs(value) < 10_000:
        return f"{value:.0e}"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"
