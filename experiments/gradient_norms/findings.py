"""The findings in words: whose gradient survives, the textbook's gate beside the network, who learnt what."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.gradient_norms import quantities
from experiments.gradient_norms.quantities import Pair

REFERENCE_LAG = 100  # at which reach is compared in words; the longest lag where a task has none so long
SURVIVES = 0.01  # a larger share of the gradient than this is said to survive
LEARNT = 0.9  # a loss under this share of the baseline is past it; the test set itself is worth about 3 %


def sentences(pairs: Sequence[Pair]) -> list[str]:
    """What was found, a paragraph each; all of it computed from the measurements."""
    found = [_survivors(pairs, "before"), _survivors(pairs, "after")]
    found += _textbook(pairs, "lstm", "bias 1", 1 / (1 + math.exp(-1))) + _textbook(pairs, "gru", "bias 0", 0.5)
    for of_task in quantities.by_task(pairs).values():
        title = quantities.task_title(of_task[0][0])
        found += [
            f"{title}. Share of the last step's gradient that reaches back {_lag(of_task)} steps, before training: "
            f"{_ranked(of_task, 'before')}; after training: {_ranked(of_task, 'after')}.",
            f"{title}. {_learnt(of_task)}",
        ]
    return found


def _survivors(pairs: Sequence[Pair], phase: str) -> str:
    """The lines of which more than `SURVIVES` reaches back to the reference lag, and on which tasks."""
    tasks_of: dict[str, list[str]] = {}
    for run, outcome in pairs:
        survived = tasks_of.setdefault(quantities.line(run), [])
        if quantities.reach(getattr(outcome, phase), _lag([(run, outcome)])) > SURVIVES:
            survived.append(run.task_name)
    every = len(quantities.by_task(pairs))
    told = [f"{line} ({'every task' if len(on) == every else ', '.join(on)})" for line, on in tasks_of.items() if on]
    never = [line for line, on in tasks_of.items() if not on]
    return (
        f"{phase.capitalize()} training more than {SURVIVES:.0%} of the last step's gradient reaches back "
        f"{REFERENCE_LAG} steps, or to the first, in {', '.join(told) or 'no network'}; on no task in "
        f"{', '.join(never) or 'none'}."
    )


def _textbook(pairs: Sequence[Pair], cell: str, initialisation: str, keep: float) -> list[str]:
    """The gate alone, the linearised network and the measured one."""
    found = [p for p in pairs if (p[0].cell_name, p[0].initialisation) == (cell, initialisation)]
    if not found:
        return []
    told = []
    for pair in found:
        lag = _lag([pair])
        measured, theory = quantities.reach(pair[1].before, lag), float(np.median(pair[1].before.theory[:, lag]))
        gate = f"gate alone {quantities.number(keep**lag)}, linearised {quantities.number(theory)}"
        told.append(f"{pair[0].task_name} {quantities.number(measured)} ({gate})")
    return [
        f"The textbook's gate: {cell} with {initialisation} keeps {keep:.2f} of its state a step. What reaches back "
        f"{REFERENCE_LAG} steps, or to the first, before training: {', '.join(told)}. The gate alone leaves out the "
        f"way back through the candidate, and the units whose gates the inputs hold wider open; the network "
        f"linearised at rest leaves out saturation."
    ]


def _ranked(of_task: Sequence[Pair], phase: str) -> str:
    lag = _lag(of_task)
    reaches = {quantities.line(run): quantities.reach(getattr(outcome, phase), lag) for run, outcome in of_task}
    ranked = sorted(reaches, key=lambda line: reaches[line], reverse=True)
    return ", ".join(f"{line} {quantities.number(reaches[line])}" for line in ranked)


def _learnt(of_task: Sequence[Pair]) -> str:
    solved_by, past_by, at_baseline = [], [], []
    for run, outcome in of_task:
        seeds, solved = len(outcome.history.loss), sum(quantities.solved(run, outcome))
        past = int(np.sum(outcome.after.metrics["loss"] < LEARNT * run.task.baseline))
        if solved == seeds:
            solved_by.append(quantities.line(run))
        elif past:
            past_by.append(f"{quantities.line(run)} ({past} of {seeds} seeds past, {solved} solved)")
        else:
            at_baseline.append(quantities.line(run))
    groups = {"solved by": solved_by, "past the baseline, not solved by all:": past_by, "at the baseline:": at_baseline}
    told = "; ".join(f"{group} {', '.join(lines)}" for group, lines in groups.items() if lines)
    return f"After {of_task[0][0].steps} steps of {of_task[0][0].trainer.batch_size} sequences {told}."


def _lag(of_task: Sequence[Pair]) -> int:
    return min(REFERENCE_LAG, quantities.relative(of_task[0][1].before).shape[1] - 1)
