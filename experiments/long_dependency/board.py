"""The leaderboard, live below the progress bar and at the end, and what it says in words."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import RenderableType

from experiments.common import networks, numbers
from experiments.long_dependency.recipe import Plateau, Published
from experiments.long_dependency.result import Result, by_length, by_task, ranked
from rnn_jax import report

number = functools.partial(numbers.number, digits=3, low=1e-3, high=1e7)


def _over_seeds(statistic: Callable[[np.ndarray], Any], values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return number(float(statistic(known))) if known.size else "-"


def _sequences(result: Result) -> str:
    """Returns the median of sequences until solved, or the budget spent if unsolved."""
    if math.isfinite(result.sequences_until_solved):
        return f"{result.sequences_until_solved:,.0f}"
    return f">{result.steps[-1] * result.batch_size:,}" if result.steps else "-"


def _published(result: Result) -> str:
    paper = result.published
    if paper is None:
        return ""
    if isinstance(paper, Plateau):
        return "past baseline" if paper.left else "baseline"
    if paper.quantity == "sequences":
        return f"{paper.value:,.0f}"
    return f"{number(paper.value)} {paper.quantity}"


def _state(result: Result) -> str:
    if not result.steps:
        return "waiting"
    diverged = sum(message is not None for message in result.diverged)
    state = f"{result.solving}/{result.seeds}" + (f" {diverged} NaN" if diverged else "")
    return state if result.finished else f"{state} …"


COLUMNS = [
    report.Column("cell", lambda r: networks.short_name(r.cell), right=False),
    report.Column("solved", _state, right=False),
    report.Column("sequences", _sequences),
    report.Column("published", _published),
    report.Column("loss", lambda r: _over_seeds(np.median, r.last("loss"))),
    report.Column("±", lambda r: _over_seeds(lambda losses: np.ptp(losses) / 2, r.last("loss"))),
    report.Column("/base", lambda r: number(float(np.median(r.last("loss"))) / r.baseline)),
    report.Column("metric", lambda r: _over_seeds(np.median, r.last(r.metric))),
    report.Column("min", lambda r: numbers.minutes(r.seconds) if r.seconds else "-"),
]

WITHOUT_PAPERS = [column for column in COLUMNS if column.header not in ("published", "±", "min")]


def sections(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Returns the rows by a title for each task and T, best first."""
    return {
        f"{rows[0].title}; baseline {rows[0].baseline:.4g}; {rows[0].metric}": ranked(rows)
        for task_results in by_task(results).values()
        for rows in by_length(task_results).values()
    }


def caption(at_a_time: int) -> str:
    """Returns the explanation of the columns."""
    return (
        "solved: seeds that met the task's criterion. sequences: of training until then, median over seeds (>: not "
        "solved in so many). published: sequences, or as stated; (past) baseline: the end of a paper's curve. "
        "loss, metric: on the test set after training, median; ±: half the range of the loss over seeds; /base: the "
        f"loss over the baseline. min: minutes in total, {at_a_time} such programs in parallel.\n"
    )


def live(results: Sequence[Result]) -> RenderableType:
    """Returns the table of the tasks and lengths that are running, to fit below the progress bar."""
    running = {(r.task, r.length) for r in results if r.steps and not r.finished}
    shown = [r for r in results if (r.task, r.length) in running]
    return report.TextTables(COLUMNS, sections(shown), "") if shown else ""


def findings(results: Sequence[Result]) -> list[str]:
    """Returns one sentence on the solvers and one on the published numbers met and missed."""
    rows = [rows for task_results in by_task(results).values() for rows in by_length(task_results).values()]
    solvers = " ".join(f"{each[0].title}: {_solvers(each)}." for each in rows)
    papers = [f"{r.name} {_comparison(r, r.published)}" for r in results if r.published]
    return [solvers, *([f"Published numbers: {'; '.join(papers)}."] if papers else [])]


def item_line(result: Result) -> str:
    """Returns one line to print when an item has ended."""
    loss = number(float(np.median(result.last("loss"))))
    until = f", {result.sequences_until_solved:,.0f} sequences" if math.isfinite(result.sequences_until_solved) else ""
    diverged = "".join(f"; {message}" for message in result.diverged if message)
    return (
        f"{result.name}: solved {result.solving}/{result.seeds}{until}, loss {loss} (baseline {result.baseline:.4g}), "
        f"{result.steps[-1]:,} steps, {result.seconds:.0f} s{diverged}"
    )


def _solvers(results: Sequence[Result]) -> str:
    groups: dict[str, list[str]] = {}
    for result in results:
        if result.solving == result.seeds:
            group = "solved by"
        elif result.solving:
            group = "solved by some seeds of"
        elif sum(message is not None for message in result.diverged) > result.seeds / 2:
            group = "diverged:"
        elif result.beyond_baseline:
            group = "past the baseline, not solved:"
        else:
            group = "at the baseline:"
        groups.setdefault(group, []).append(result.cell)
    return "; ".join(f"{group} {', '.join(cells)}" for group, cells in groups.items())


def _comparison(result: Result, paper: Published | Plateau) -> str:
    if isinstance(paper, Plateau):
        share = number(float(np.median(result.last("loss"))) / result.baseline)
        ours, theirs = ("past" if left else "at" for left in (result.beyond_baseline, paper.left))
        agrees = f"as in {paper.source}" if ours == theirs else f"but {theirs} it in {paper.source}"
        return f"is {ours} the baseline ({share} of it), {agrees}"
    if paper.quantity == "sequences":
        value = result.sequences_until_solved
    else:
        value = float(np.median(result.last(paper.quantity)))
    better = value >= paper.value if paper.quantity == "accuracy" else value <= paper.value
    text = "not solved" if math.isinf(value) else number(value)
    return f"{paper.quantity} {text} ({paper.source}: {number(paper.value)}): {'met' if better else 'missed'}"
