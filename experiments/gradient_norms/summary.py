"""What a run leaves behind and shows: records, arrays, figures, the table, the page."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console

from experiments.common import run_files
from experiments.gradient_norms import findings, quantities
from experiments.gradient_norms.config import Run
from experiments.gradient_norms.measurement import Outcome, Phase
from experiments.gradient_norms.quantities import Pair
from rnn_jax import plotting, report, training
from rnn_jax.diagnostics import fit_decay


def records(run: Run, outcome: Outcome) -> list[dict[str, Any]]:
    """One flat record a seed; `LOSS/PHASE/COMPONENT/QUANTITY` for the decay of the gradient."""
    found = []
    solved = quantities.solved(run, outcome)
    phases = {"before": outcome.before, "after": outcome.after}
    for seed in range(len(outcome.history.loss)):
        metrics = {name: {m: values[seed] for m, values in p.metrics.items()} for name, p in phases.items()}
        record: dict[str, Any] = {
            **run_files.record(run.name, seed, run.task, run.trainer, metrics, solved[seed]),
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
            "diverged": training.divergence(outcome.history, seed),
        }
        for name, phase in phases.items():
            record[f"{name}/spectral_radius"] = phase.spectral_radius[seed]
            for loss, norms in phase.reach.items():
                for component, by_lag in norms.items():
                    decay = fit_decay(by_lag[seed])._asdict()
                    record |= {f"{loss}/{name}/{component}/{key}": value for key, value in decay.items()}
        found.append(record)
    return found


def arrays(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """The curves: gradient norms and theory [seeds, lags], training metrics [seeds, steps]; shares [seeds]."""
    found: dict[str, np.ndarray] = {}
    for run, outcome in pairs:
        found |= run_files.of_training(run.name, outcome.history)
        for name, phase in (("before", outcome.before), ("after", outcome.after)):
            found |= run_files.of_moment(run.name, name, phase.reach, phase.saturation, phase.not_finite)
            found[f"{run.name}/{name}/theory"] = phase.theory
    return found


# Figures

LINE_STYLES = ("-", "--", "-.", (0, (1, 1)))  # one an initialisation


def figures(pairs: Sequence[Pair]) -> dict[str, bytes]:
    """A PNG for each task."""
    cell_names = list(dict.fromkeys(run.cell_name for run, _ in pairs))
    found = {}
    for task_name, of_task in quantities.by_task(pairs).items():
        lines = []
        for run, outcome in of_task:
            kinds = [r.initialisation for r, _ in of_task if r.cell_name == run.cell_name]
            lines.append(
                plotting.Line(
                    label=f"{run.cell_name}, {run.initialisation}",
                    color=f"C{cell_names.index(run.cell_name)}",
                    style=LINE_STYLES[kinds.index(run.initialisation) % len(LINE_STYLES)],
                    before=quantities.relative(outcome.before),
                    after=quantities.relative(outcome.after),
                    theory=np.median(outcome.before.theory, axis=0),
                )
            )
        run = of_task[0][0]
        seeds = len(outcome.history.loss)
        title = f"{quantities.task_title(run)}: gradient of the loss at the last step, {seeds} seeds"
        found[task_name] = plotting.lag_figure(lines, title)
    return found


# The table


def _half_life(phase: Phase) -> str:
    half_life = quantities.decay(phase).half_life
    # A gradient that grows or stands still has none.
    return "inf" if half_life < 0 else quantities.number(half_life)


def _first_over_last(phase: Phase) -> str:
    return quantities.number(quantities.decay(phase).first_over_last)


def _median(values: np.ndarray) -> float:
    return float(np.median(values))


COLUMNS = [
    report.Column("cell", lambda p: quantities.cell(p[0]), right=False),
    report.Column("init", lambda p: p[0].initialisation + "*" * p[0].is_default, right=False),
    report.Column("half-life", lambda p: f"{_half_life(p[1].before)}→{_half_life(p[1].after)}"),
    report.Column("first/last", lambda p: f"{_first_over_last(p[1].before)}→{_first_over_last(p[1].after)}"),
    report.Column("loss", lambda p: f"{_median(p[1].after.metrics['loss']):.4f}"),
    report.Column("metric", lambda p: f"{_median(p[1].after.metrics[p[0].task.metric]):.4f}"),
    report.Column("solved", lambda p: f"{sum(quantities.solved(*p))}/{len(quantities.solved(*p))}"),
    report.Column("clip%", lambda p: f"{100 * np.mean(p[1].history.clipped):.0f}"),
    report.Column("params", lambda p: str(p[1].parameters)),
    report.Column("ms", lambda p: quantities.number(p[1].ms_per_step)),
]


def _sections(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """The table's rows under a title a task."""

    def title(run: Run) -> str:
        return f"{quantities.task_title(run)}; baseline {run.task.baseline:.4f}; {run.task.metric}"

    return {title(of_task[0][0]): of_task for of_task in quantities.by_task(pairs).values()}


def _caption(pairs: Sequence[Pair], at_a_time: int) -> str:
    return (
        "* the cell's default initialisation. half-life (steps) and first/last: of the norm of dL/ds_t, L read at the "
        "last step, before→after training (-: no gradient at all). loss, metric: on the test set. Medians over seeds. "
        "solved: seeds that meet the task's criterion. clip%: steps whose gradient was clipped. "
        f"ms: an optimization step of all {len(pairs[0][1].history.loss)} seeds "
        f"together, {at_a_time} such programs side by side.\n"
    )


def show(console: Console, pairs: Sequence[Pair], at_a_time: int) -> None:
    """Prints the table and the findings."""
    console.print(report.TextTables(COLUMNS, _sections(pairs), _caption(pairs, at_a_time)), highlight=False)
    for sentence in findings.sentences(pairs):
        console.print(f"- {sentence}", markup=False, highlight=False)


def page(pairs: Sequence[Pair], pngs: dict[str, bytes], header: dict[str, Any]) -> str:
    """The self-contained summary page."""
    at_a_time = header["environment"]["programs_at_a_time"]
    by_task = quantities.by_task(pairs)
    return report.page(
        title="How far back does the gradient reach?",
        sentences=findings.sentences(pairs),
        tables=[report.html_table(COLUMNS, _sections(pairs), _caption(pairs, at_a_time))],
        figures={quantities.task_title(by_task[name][0][0]): png for name, png in pngs.items()},
        details=header,
    )
