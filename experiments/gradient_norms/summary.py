"""What the measurements say: records, figures, the table, and the findings in words."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console

from experiments.gradient_norms.config import Run
from experiments.gradient_norms.measurement import Outcome, Phase
from rnn_jax import plotting, report
from rnn_jax.diagnostics import Decay, fit_decay

Pair = tuple[Run, Outcome]

REFERENCE_LAG = 100  # at which reach is compared in words; the longest lag where a task has none so long
LEARNT = 0.9  # a loss under this share of the baseline is past it; the test set itself is worth about 3 %


def records(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """One flat record a run and seed; `LOSS/PHASE/COMPONENT/QUANTITY` for the decay of the gradient."""
    found = []
    for run, outcome in pairs:
        for seed in range(len(outcome.history.loss)):
            record: dict[str, Any] = {
                "task": run.task_name,
                "variant": run.task.variant,
                "sequence_length": run.task.sequence_length,
                "cell": run.cell_name,
                "definition": run.trainer.model.cell,
                "initialisation": run.initialisation,
                "default_initialisation": run.is_default,
                "seed": seed,
                "parameters": outcome.parameters,
                "steps": run.steps,
                "ms_per_step": outcome.ms_per_step,
                "baseline": run.task.baseline,
                "clipped_percent": 100 * float(np.mean(outcome.history.clipped[seed])),
                "diverged": outcome.divergence(seed),
                "solved": _solved(run, outcome)[seed],
            }
            for name, phase in (("before", outcome.before), ("after", outcome.after)):
                record |= {f"{name}/{metric}": values[seed] for metric, values in phase.metrics.items()}
                record[f"{name}/spectral_radius"] = phase.spectral_radius[seed]
                for loss, norms in phase.reach.items():
                    for component, by_lag in norms.items():
                        decay = fit_decay(by_lag[seed])._asdict()
                        record |= {f"{loss}/{name}/{component}/{key}": value for key, value in decay.items()}
            found.append(record)
    return found


def arrays(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """The curves: gradient norms and theory [seeds, lags], training metrics [seeds, steps]."""
    found: dict[str, np.ndarray] = {}
    for run, outcome in pairs:
        found |= {f"{run.name}/training/{k}": v for k, v in outcome.history._asdict().items()}
        for name, phase in (("before", outcome.before), ("after", outcome.after)):
            found[f"{run.name}/{name}/theory"] = phase.theory
            for loss, norms in phase.reach.items():
                found |= {f"{run.name}/{name}/{loss}/{component}": n for component, n in norms.items()}
    return found


def _by_task(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    names = dict.fromkeys(run.task_name for run, _ in pairs)
    return {name: [pair for pair in pairs if pair[0].task_name == name] for name in names}


def _relative(phase: Phase) -> np.ndarray:
    """||dL/ds_{T-k}|| / ||dL/ds_T|| [seeds, lags], for the loss at the last step; zero for a dead network."""
    norms = phase.reach["last_step"]["together"].astype(np.float64)
    return norms / np.where(norms[:, :1] > 0, norms[:, :1], 1)


def _decay(phase: Phase) -> Decay:
    """The median over seeds of each quantity, of those seeds that have it."""
    each = np.array([fit_decay(norms) for norms in phase.reach["last_step"]["together"]])
    known = ~np.isnan(each)
    return Decay(*(float(np.median(q[k])) if k.any() else math.nan for q, k in zip(each.T, known.T, strict=True)))


def _solved(run: Run, outcome: Outcome) -> list[bool]:
    seeds = range(len(outcome.history.loss))
    return [run.task.solved({name: float(v[seed]) for name, v in outcome.after.metrics.items()}) for seed in seeds]


# Figures

LINE_STYLES = ("-", "--", "-.", (0, (1, 1)))  # one an initialisation


def figures(pairs: Sequence[Pair]) -> dict[str, bytes]:
    """A PNG for each task."""
    cell_names = list(dict.fromkeys(run.cell_name for run, _ in pairs))
    found = {}
    for task_name, of_task in _by_task(pairs).items():
        lines = []
        for run, outcome in of_task:
            kinds = [r.initialisation for r, _ in of_task if r.cell_name == run.cell_name]
            lines.append(
                plotting.Line(
                    label=f"{run.cell_name}, {run.initialisation}",
                    color=f"C{cell_names.index(run.cell_name)}",
                    style=LINE_STYLES[kinds.index(run.initialisation) % len(LINE_STYLES)],
                    before=_relative(outcome.before),
                    after=_relative(outcome.after),
                    theory=np.median(outcome.before.theory, axis=0),
                )
            )
        run = of_task[0][0]
        title = f"{_task_title(run)}: gradient of the loss at the last step, {len(outcome.history.loss)} seeds"
        found[task_name] = plotting.lag_figure(lines, title)
    return found


def _task_title(run: Run) -> str:
    return f"{run.task_name} ({run.task.variant}), {run.task.sequence_length} steps"


# The table


def _number(value: float) -> str:
    """Two figures, or the whole part; a power of ten below a hundredth and from ten thousand."""
    if math.isnan(value):
        return "-"
    if value and not 0.01 <= abs(value) < 10_000:
        return f"{value:.0e}"
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.2g}"


def _half_life(phase: Phase) -> str:
    half_life = _decay(phase).half_life
    # A gradient that grows or stands still has none.
    return "inf" if half_life < 0 else _number(half_life)


def _first_over_last(phase: Phase) -> str:
    return _number(_decay(phase).first_over_last)


def _median(values: np.ndarray) -> float:
    return float(np.median(values))


COLUMNS = [
    report.Column("cell", lambda p: _cell(p[0]), right=False),
    report.Column("init", lambda p: p[0].initialisation + "*" * p[0].is_default, right=False),
    report.Column("half-life", lambda p: f"{_half_life(p[1].before)}→{_half_life(p[1].after)}"),
    report.Column("first/last", lambda p: f"{_first_over_last(p[1].before)}→{_first_over_last(p[1].after)}"),
    report.Column("loss", lambda p: f"{_median(p[1].after.metrics['loss']):.4f}"),
    report.Column("metric", lambda p: f"{_median(p[1].after.metrics[p[0].task.metric]):.4f}"),
    report.Column("solved", lambda p: f"{sum(_solved(*p))}/{len(_solved(*p))}"),
    report.Column("clip%", lambda p: f"{100 * np.mean(p[1].history.clipped):.0f}"),
    report.Column("params", lambda p: str(p[1].parameters)),
    report.Column("ms", lambda p: _number(p[1].ms_per_step)),
]


def _sections(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """The table's rows under a title a task."""

    def title(run: Run) -> str:
        return f"{_task_title(run)}; baseline {run.task.baseline:.4f}; {run.task.metric}"

    return {title(of_task[0][0]): of_task for of_task in _by_task(pairs).values()}


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
    console.print(report.text_tables(COLUMNS, _sections(pairs), _caption(pairs, at_a_time)), highlight=False)
    for sentence in findings(pairs):
        console.print(f"- {sentence}", markup=False, highlight=False)


# In words


def findings(pairs: Sequence[Pair]) -> list[str]:
    """What was found: the textbook's gate beside the network, how far each gradient reaches, who learnt what."""
    sentences = _textbook(pairs, "lstm", "bias 1", 1 / (1 + math.exp(-1))) + _textbook(pairs, "gru", "bias 0", 0.5)
    for of_task in _by_task(pairs).values():
        title = _task_title(of_task[0][0])
        sentences += [
            f"{title}. Share of the last step's gradient that reaches back {_lag(of_task)} steps, before training: "
            f"{_ranked(of_task, 'before')}; after training: {_ranked(of_task, 'after')}.",
            f"{title}. {_learnt(of_task)}",
        ]
    return sentences


def _lag(of_task: Sequence[Pair]) -> int:
    return min(REFERENCE_LAG, _relative(of_task[0][1].before).shape[1] - 1)


def _reach(phase: Phase, lag: int) -> float:
    """The share of the last step's gradient that reaches back `lag` steps, median over seeds."""
    return float(np.median(_relative(phase)[:, lag]))


def _textbook(pairs: Sequence[Pair], cell: str, initialisation: str, keep: float) -> list[str]:
    """The gate alone, the linearised network and the measured one."""
    found = [p for p in pairs if (p[0].cell_name, p[0].initialisation) == (cell, initialisation)]
    if not found:
        return []
    told = []
    for pair in found:
        lag = _lag([pair])
        measured, theory = _reach(pair[1].before, lag), float(np.median(pair[1].before.theory[:, lag]))
        gate = f"gate alone {_number(keep**lag)}, linearised {_number(theory)}"
        told.append(f"{pair[0].task_name} {_number(measured)} ({gate})")
    return [
        f"The textbook's gate: {cell} with {initialisation} keeps {keep:.2f} of its state a step. What reaches back "
        f"{REFERENCE_LAG} steps, or to the first, before training: {', '.join(told)}. The gate alone leaves out the "
        f"way back through the candidate, and the units whose gates the inputs hold wider open; the network "
        f"linearised at rest leaves out saturation."
    ]


def _ranked(of_task: Sequence[Pair], phase: str) -> str:
    lag = _lag(of_task)
    reaches = {_line(run): _reach(getattr(outcome, phase), lag) for run, outcome in of_task}
    return ", ".join(f"{line} {_number(reaches[line])}" for line in sorted(reaches, key=lambda k: -reaches[k]))


def _learnt(of_task: Sequence[Pair]) -> str:
    solved_by, past_by, at_baseline = [], [], []
    for run, outcome in of_task:
        seeds, solved = len(outcome.history.loss), sum(_solved(run, outcome))
        past = int(np.sum(outcome.after.metrics["loss"] < LEARNT * run.task.baseline))
        if solved == seeds:
            solved_by.append(_line(run))
        elif past:
            past_by.append(f"{_line(run)} ({past} of {seeds} seeds past, {solved} solved)")
        else:
            at_baseline.append(_line(run))
    groups = {"solved by": solved_by, "past the baseline, not solved by all:": past_by, "at the baseline:": at_baseline}
    told = "; ".join(f"{group} {', '.join(lines)}" for group, lines in groups.items() if lines)
    return f"After {of_task[0][0].steps} steps of {of_task[0][0].trainer.batch_size} sequences {told}."


def _cell(run: Run) -> str:
    return run.cell_name.rpartition(":")[2]


def _line(run: Run) -> str:
    return f"{_cell(run)}/{run.initialisation}"


def page(pairs: Sequence[Pair], pngs: dict[str, bytes], header: dict[str, Any]) -> str:
    """The self-contained summary page."""
    at_a_time = header["environment"]["programs_at_a_time"]
    by_task = _by_task(pairs)
    return report.page(
        title="How far back does the gradient reach?",
        words=findings(pairs),
        table=report.html_table(COLUMNS, _sections(pairs), _caption(pairs, at_a_time)),
        figures={_task_title(by_task[name][0][0]): png for name, png in pngs.items()},
        details=header,
    )
