"""What a run leaves behind and shows: records, arrays, the tables."""

import functools
from typing import Any

import numpy as np
from rich.console import Console

from experiments.gradient_estimators import findings
from experiments.gradient_estimators.results import Results, final_loss, short
from rnn_jax import report

Row = tuple[str, str]  # cell, estimator


def records(results: Results) -> list[dict[str, Any]]:
    """Flat, one a measurement; `part` says of what: cost, quality (a seed each) or learning (a seed each)."""
    found: list[dict[str, Any]] = [
        {
            "part": "cost",
            "cell": c.cell_name,
            "estimator": c.estimator,
            "steps": c.steps,
            "median_ms": c.milliseconds,
            "temporary_bytes": c.temporary_bytes,
        }
        for c in results.costs
    ]
    for (task, cell), moment, estimator, quality in results.qualities():
        for seed in range(len(quality.cosine)):
            of = {"part": "quality", "task": task, "cell": cell, "estimator": estimator, "moment": moment}
            found.append(of | {"seed": seed} | {k: v[seed] for k, v in quality._asdict().items()})
    for (task, cell, estimator), losses in results.losses.items():
        of = {"part": "learning", "task": task, "cell": cell, "estimator": estimator}
        of_all = {"steps": losses.shape[1], "baseline": results.baselines[task]}
        for seed, loss in enumerate(final_loss(losses)):
            found.append({**of, **of_all, "seed": seed, "final_loss": float(loss)})
    return found


def arrays(results: Results) -> dict[str, np.ndarray]:
    """The learning curves, TASK/CELL/ESTIMATOR [seeds, steps]."""
    return {"/".join(name): losses for name, losses in results.losses.items()}


def show(console: Console, results: Results) -> None:
    """Prints the tables and the findings."""
    console.print(_quality_table(results), highlight=False)
    console.print(_cost_table(results), highlight=False)
    for sentence in findings.sentences(results):
        console.print(f"- {sentence}", markup=False, highlight=False)


def _tasks(results: Results) -> dict[str, str]:
    """The tasks, and their names in a table."""
    return {name: name.replace("characters", "chars") for name in results.baselines}


def _sections(results: Results) -> dict[str, list[Row]]:
    return {short(c): [(c, e) for e in results.estimators(c)] for c in results.config.cells}


def _quality_table(results: Results) -> Any:
    def quality(row: Row, task: str, what: str) -> str:
        cell, estimator = row
        if estimator == "BPTT":
            return "1" if what == "cosine" else "0"
        found = results.quality[task, cell]
        return "→".join(f"{np.median(getattr(of[estimator], what)):.2f}" for of in (found.before, found.after))

    columns = [report.Column("estimator", lambda row: row[1], right=False)]
    for task, name in _tasks(results).items():
        columns.append(report.Column(f"cos {name}", functools.partial(quality, task=task, what="cosine")))
    first, name = next(iter(_tasks(results).items()))
    for what in ("bias", "spread"):
        columns.append(report.Column(f"{what} {name}", functools.partial(quality, task=first, what=what)))
    caption = (
        "Of the cell's gradient beside the exact one, fresh→trained parameters: cosine of one estimate; distance of "
        "the mean and deviation, as shares of the exact norm. Medians over seeds.\n"
    )
    return report.TextTables(columns, _sections(results), caption)


def _cost_table(results: Results) -> Any:
    longest = max(c.steps for c in results.costs)

    def loss(row: Row, task: str) -> str:
        cell, estimator = row
        if (task, estimator) == ("characters", "BPTT"):
            return "-"
        return f"{np.median(final_loss(results.losses[task, cell, estimator])):.3f}"

    def times(row: Row) -> str:
        return f"{results.cost(*row)[-1].milliseconds / results.cost(row[0], 'BPTT')[-1].milliseconds:.1f}"

    columns = [report.Column("estimator", lambda row: row[1], right=False)]
    for task, name in _tasks(results).items():
        columns.append(report.Column(f"loss {name}", functools.partial(loss, task=task)))
    columns.append(report.Column("time", times))
    columns.append(report.Column("MB", lambda row: f"{results.cost(*row)[-1].temporary_bytes / 1e6:.2f}"))
    baselines = ", ".join(f"{_tasks(results)[t]} {b:.3f}" for t, b in results.baselines.items())
    caption = (
        f"loss: of the last tenth of {results.config.steps} steps; without memory {baselines}; characters are a "
        f"stream, learnt after every {results.config.segment}. time, MB: of one gradient at T = {longest}, time as a "
        "multiple of BPTT's, memory beside inputs. Medians over seeds.\n"
    )
    return report.TextTables(columns, _sections(results), caption)
