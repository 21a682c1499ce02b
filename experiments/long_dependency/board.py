"""The leaderboard: live below the progress bar, at the end, and on the page."""

import math
from collections.abc import Sequence

import numpy as np
from rich.console import RenderableType

from experiments.long_dependency.result import Result, by_length, by_task, ranked
from rnn_jax import report


def number(value: float) -> str:
    """Three figures; a power of ten below a thousandth."""
    if math.isnan(value):
        return "-"
    if value and abs(value) < 1e-3:
        return f"{value:.0e}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _spread(values: np.ndarray) -> str:
    """The median, and half the range over seeds."""
    known = values[np.isfinite(values)]
    if not known.size:
        return "-"
    middle = number(float(np.median(values)))
    return middle if known.size < 2 else f"{middle} ±{number(float(np.ptp(known)) / 2)}"


def _steps(result: Result, sequences: bool) -> str:
    """Until solved, median over seeds; where it was not, what was spent."""
    found, scale = result.sequences_until_solved, result.batch_size
    if math.isfinite(found):
        return f"{found if sequences else found / scale:,.0f}"
    done = result.steps[-1] if result.steps else 0
    return f">{done * scale if sequences else done:,.0f}" if done else "-"


def ours(result: Result) -> float:
    """The number to stand beside the published one: median over seeds."""
    if result.published is None:
        return math.nan
    if result.published.quantity == "sequences":
        return result.sequences_until_solved
    return float(np.median(result.last(result.published.quantity)))


def _published(result: Result) -> str:
    if result.published is None:
        return ""
    if result.published.quantity == "sequences":
        return f"{result.published.value:,.0f} seq"
    return f"{number(result.published.value)} {result.published.quantity}"


def _state(result: Result) -> str:
    if not result.steps:
        return "waiting"
    lost = sum(told is not None for told in result.diverged)
    told = f"{result.solving}/{result.seeds}" + (f" ({lost} NaN)" if lost else "")
    return told if result.finished else f"{told} …"


COLUMNS = [
    report.Column("cell", lambda r: r.cell.rpartition(":")[2], right=False),
    report.Column("solved", _state, right=False),
    report.Column("steps", lambda r: _steps(r, sequences=False)),
    report.Column("sequences", lambda r: _steps(r, sequences=True)),
    report.Column("loss", lambda r: _spread(r.last("loss"))),
    report.Column("/baseline", lambda r: number(float(np.median(r.last("loss"))) / r.baseline)),
    report.Column("metric", lambda r: _spread(r.last(r.metric))),
    report.Column("published", _published),
    report.Column("params", lambda r: f"{r.parameters:,}" if r.parameters else "-"),
    report.Column("seq/s", lambda r: number(r.sequences_per_second)),
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
        "solved: seeds that met the task's criterion. steps, sequences: until then, median over seeds (>: not solved "
        "in so many). loss, metric: on the test set after training, median ± half their range. seq/s: training "
        f"sequences of all {results[0].seeds} seeds together a second, {at_a_time} such programs side by side. time: "
        "minutes, all included.\n"
    )


def live(results: Sequence[Result]) -> RenderableType:
    """What fits under the bar: the tasks and lengths that have begun and are not over."""
    under_way = {(r.task, r.length) for r in results if r.steps and not r.finished}
    shown = [r for r in results if (r.task, r.length) in under_way]
    return report.text_tables(COLUMNS, sections(shown), "") if shown else ""
