"""The leaderboard: live below the progress bar, at the end, and on the page."""

import math
from collections.abc import Sequence

import numpy as np
from rich.console import RenderableType

from experiments.long_dependency.recipe import Plateau
from experiments.long_dependency.result import Result, by_length, by_task, ranked
from rnn_jax import report


def number(value: float) -> str:
    """Three figures; two and a power of ten below a thousandth and from ten millions on."""
    if math.isnan(value):
        return "-"
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.1e}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _median(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return number(float(np.median(known))) if known.size else "-"


def _half_range(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return number(float(np.ptp(known)) / 2) if known.size else "-"


def _sequences(result: Result) -> str:
    """Until solved, median over seeds; where it was not, what was spent."""
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
    lost = sum(told is not None for told in result.diverged)
    told = f"{result.solving}/{result.seeds}" + (f" {lost} NaN" if lost else "")
    return told if result.finished else f"{told} …"


COLUMNS = [
    report.Column("cell", lambda r: r.cell.rpartition(":")[2], right=False),
    report.Column("solved", _state, right=False),
    report.Column("sequences", _sequences),
    report.Column("published", _published),
    report.Column("loss", lambda r: _median(r.last("loss"))),
    report.Column("±", lambda r: _half_range(r.last("loss"))),
    report.Column("/base", lambda r: number(float(np.median(r.last("loss"))) / r.baseline)),
    report.Column("metric", lambda r: _median(r.last(r.metric))),
    report.Column("time", lambda r: _time(r.seconds) if r.seconds else "-"),
]


def _time(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


def sections(results: Sequence[Result]) -> dict[str, list[Result]]:
    """The rows under a title a task and T, best first."""
    return {
        f"{of_length[0].title}; baseline {of_length[0].baseline:.4g}; {of_length[0].metric}": ranked(of_length)
        for of_task in by_task(results).values()
        for of_length in by_length(of_task).values()
    }


def caption(results: Sequence[Result], at_a_time: int) -> str:
    """What the columns mean."""
    return (
        "solved: seeds that met the task's criterion. sequences: of training until then, median over seeds (>: not "
        "solved in so many). published: sequences, or what it says; (past) baseline: where a paper's curve ends. "
        "loss, metric: on the test set after training, median; ±: half the range of the loss over seeds; /base: the "
        f"loss over the baseline. time: minutes, all included, {at_a_time} such programs side by side.\n"
    )


def live(results: Sequence[Result]) -> RenderableType:
    """What fits under the bar: the tasks and lengths that have begun and are not over."""
    under_way = {(r.task, r.length) for r in results if r.steps and not r.finished}
    shown = [r for r in results if (r.task, r.length) in under_way]
    return report.TextTables(COLUMNS, sections(shown), "") if shown else ""
