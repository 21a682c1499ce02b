"""Results of all runs as records, arrays, figures, a table and a few sentences."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.common.numbers import number
from experiments.common.records import divergence_fields, moment_arrays, task_fields, training_arrays
from experiments.gradient_norms.config import Run
from experiments.gradient_norms.measurement import Outcome, State
from rnn_jax import plotting, report
from rnn_jax.diagnostics import Decay, fit_decay

Pair = tuple[Run, Outcome]

REFERENCE_LAG = 100  # at which reach is compared in words; the longest lag of a task that has none so long
SURVIVES = 0.01  # share of the gradient from which it is said to survive
LINE_STYLES = ("-", "--", "-.", (0, (1, 1)))  # one for each initialisation


def by_task(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Returns the pairs by the name of their task, in order."""
    names = dict.fromkeys(run.task_name for run, _ in pairs)
    return {name: [pair for pair in pairs if pair[0].task_name == name] for name in names}


def decay(state: State) -> Decay:
    """Returns the median of each quantity over the seeds that have it."""
    fits = np.array([fit_decay(norms) for norms in state.moment.total])
    known = ~np.isnan(fits)
    return Decay(*(float(np.median(q[k])) if k.any() else math.nan for q, k in zip(fits.T, known.T, strict=True)))


def reach(state: State, lag: int) -> float:
    """Returns the share of the last step's gradient that reaches back `lag` steps, median over seeds."""
    return float(np.median(state.moment.relative[:, lag]))


def records(run: Run, outcome: Outcome) -> list[dict[str, Any]]:
    """Returns one flat record for each seed; `LOSS/MOMENT/COMPONENT/QUANTITY` describes the gradient's decay."""
    rows = []
    moments = {"before": outcome.before, "after": outcome.after}
    metrics = {name: each.moment.metrics for name, each in moments.items()}
    for seed, solved in enumerate(outcome.solved):
        record: dict[str, Any] = {
            **task_fields(run.name, seed, run.task, run.trainer, metrics, solved),
            "task": run.task_name,
            "variant": run.task.variant,
            "length": run.task.length,
            "sequence_length": run.task.sequence_length,
            "cell": run.cell_name,
            "definition": run.trainer.model.cell,
            "initialisation": run.initialisation,
            "default_initialisation": run.is_default,
            "parameters": outcome.parameters,
            "steps": run.steps,
            "ms_per_step": outcome.ms_per_step,
            "clipped_percent": 100 * float(np.mean(outcome.history.clipped[seed])),
            **divergence_fields(outcome.history, seed),
        }
        for name, each in moments.items():
            record[f"{name}/spectral_radius"] = each.spectral_radius[seed]
            for loss, norms in each.moment.reach.items():
                for component, by_lag in norms.items():
                    quantities = fit_decay(by_lag[seed])._asdict()
                    record |= {f"{loss}/{name}/{component}/{key}": value for key, value in quantities.items()}
        rows.append(record)
    return rows


def arrays(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """Returns gradient norms and theory [seeds, lags], training metrics [seeds, steps] and shares [seeds]."""
    named: dict[str, np.ndarray] = {}
    for run, outcome in pairs:
        named |= training_arrays(run.name, outcome.history)
        for name, each in (("before", outcome.before), ("after", outcome.after)):
            named |= moment_arrays(run.name, name, each.moment.reach, each.moment.saturation, each.moment.not_finite)
            named[f"{run.name}/{name}/theory"] = each.theory
    return named


def figures(pairs: Sequence[Pair]) -> plotting.Drawings:
    """Returns the caption and the drawing of gradient norm over lag for each task, by file name."""
    cell_names = list(dict.fromkeys(run.cell_name for run, _ in pairs))
    pngs = {}
    for task_name, task_pairs in by_task(pairs).items():
        lines = []
        for run, outcome in task_pairs:
            variants = [r.initialisation for r, _ in task_pairs if r.cell_name == run.cell_name]
            lines.append(
                plotting.Line(
                    label=f"{run.cell_name}, {run.initialisation}",
                    color=f"C{cell_names.index(run.cell_name)}",
                    style=LINE_STYLES[variants.index(run.initialisation) % len(LINE_STYLES)],
                    before=outcome.before.moment.relative,
                    after=outcome.after.moment.relative,
                    theory=np.median(outcome.before.theory, axis=0),
                )
            )
        title = task_title(task_pairs[0][0])
        drawn = f"{title}: gradient of the loss at the last step; seeds: {len(outcome.solved)}"
        pngs[f"{task_name}.png"] = (title, functools.partial(plotting.lag_figure, lines, drawn))
    return pngs


def task_title(run: Run) -> str:
    """Returns the task, its variant, T, and the steps including padding if they are more."""
    task = run.task
    padded = f", {task.sequence_length} steps" if task.sequence_length != task.length else ""
    return f"{run.task_name} ({task.variant}), T = {task.length}{padded}"


def _half_life(state: State) -> str:
    half_life = decay(state).half_life
    return "inf" if half_life < 0 else number(half_life)  # a gradient that grows or stays constant has none


def _change(text: Any) -> Any:
    """Returns the text function of a column with a quantity before and after training."""
    return lambda pair: f"{text(pair[1].before)}→{text(pair[1].after)}"


def _metric(pair: Pair, name: str) -> str:
    return f"{np.median(pair[1].after.moment.metrics[name]):.4f}"


COLUMNS = [
    report.Column("cell", lambda p: p[0].label.partition("/")[0], right=False),
    report.Column("init", lambda p: p[0].initialisation + "*" * p[0].is_default, right=False),
    report.Column("half-life", _change(_half_life)),
    report.Column("kept share", _change(lambda state: number(decay(state).kept_share))),
    report.Column("loss", lambda p: _metric(p, "loss")),
    report.Column("metric", lambda p: _metric(p, p[0].task.metric)),
    report.Column("solved", lambda p: f"{sum(p[1].solved)}/{len(p[1].solved)}"),
    report.Column("clip %", lambda p: f"{100 * np.mean(p[1].history.clipped):.0f}"),
    report.Column("params", lambda p: str(p[1].parameters)),
    report.Column("ms", lambda p: number(p[1].ms_per_step)),
]


def sections(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """Returns the table's rows by the title of their task."""

    def title(run: Run) -> str:
        return f"{task_title(run)}; baseline {run.task.baseline:.4f}; {run.task.metric}"

    return {title(task_pairs[0][0]): task_pairs for task_pairs in by_task(pairs).values()}


def caption(seeds: int, at_a_time: int) -> str:
    """Returns the explanation of the columns."""
    return (
        "* the cell's default initialisation. half-life (steps) and kept share (longest lag over shortest): of the "
        "norm of dL/ds_t, L read at the last step, before→after training (-: no gradient at all). loss, metric: on the "
        "test set. Medians over seeds. "
        "solved: seeds that meet the task's criterion. clip %: steps whose gradient was clipped. "
        f"ms: milliseconds of an optimization step of all {seeds} seeds, {at_a_time} such programs in parallel.\n"
    )


def findings(pairs: Sequence[Pair]) -> list[str]:
    """Returns whose gradient survives before and after training, and which networks solve each task."""
    sentences = [_survivors(pairs, moment) for moment in ("before", "after")]
    solved = {
        name: [run.label for run, outcome in task_pairs if all(outcome.solved)]
        for name, task_pairs in by_task(pairs).items()
    }
    solvers = "; ".join(f"{name}: {', '.join(labels) or 'none'}" for name, labels in solved.items())
    return [*sentences, f"Solved by all seeds: {solvers}."]


def _survivors(pairs: Sequence[Pair], moment: str) -> str:
    """Names the networks of which more than `SURVIVES` reaches back to the reference lag, and their tasks."""
    tasks: dict[str, list[str]] = {}
    for run, outcome in pairs:
        each = getattr(outcome, moment)
        lag = min(REFERENCE_LAG, each.moment.relative.shape[1] - 1)
        if reach(each, lag) > SURVIVES:
            tasks.setdefault(run.label, []).append(run.task_name)
    count = len(by_task(pairs))
    named = [f"{label} ({'every task' if len(on) == count else ', '.join(on)})" for label, on in tasks.items()]
    return (
        f"{moment.capitalize()} training more than {SURVIVES:.0%} of the last step's gradient reaches back "
        f"{REFERENCE_LAG} steps, or to the first step, in {', '.join(named) or 'no network'}."
    )
