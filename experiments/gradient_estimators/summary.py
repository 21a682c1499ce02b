"""The table, figures and sentences, computed from the records and the learning curves."""

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.common.figures import band, grouped_bars, windows
from experiments.common.networks import short_name
from experiments.common.run_folder import Report, Table
from experiments.gradient_estimators.config import Config, Problem
from rnn_jax import plotting
from rnn_jax.report import Column

MOMENTS, QUALITIES = ("before", "after"), ("cosine", "bias", "spread")
POINTS = 20  # of a learning curve, each the mean loss of a window

Records = Sequence[Mapping[str, Any]]


def summarize(config: Config, problems: Sequence[Problem], records: Records, curves: Mapping[str, Any]) -> Report:
    """Returns the table, a figure for each cell, and how exact RTRL is and how noisy UORO."""
    exact = _select(records, "bias", estimator="RTRL", part="quality")
    bias, spread = (_select(records, field, estimator="UORO", part="quality") for field in ("bias", "spread"))
    findings = [
        f"RTRL's gradient is at most {max(exact):.1e} of its norm away from BPTT's, in single precision.",
        f"UORO's estimate deviates by {min(spread):.1f} to {max(spread):.1f} times the gradient's norm; its mean over "
        f"{config.draws} keys, less the part expected by chance, by {np.median(bias / spread):.2f} of that.",
    ]
    figures = {}
    for cell in config.cells:
        of_cell = [problem for problem in problems if problem.cell_name == cell]
        png = functools.partial(_figure, config, of_cell, records, curves)
        figures[f"{short_name(cell)}.png"] = (f"Learning curves, quality and cost: {short_name(cell)}", png)
    return Report("Which gradient?", findings, [_table(config, problems, records)], figures)


def _select(records: Records, field: str, **values: Any) -> np.ndarray:
    """Returns a field of the records that have these values of other fields."""
    return np.array([r[field] for r in records if field in r and values.items() <= r.items()])


def _table(config: Config, problems: Sequence[Problem], records: Records) -> Table:
    longest = max(_select(records, "steps", part="cost"))
    sections: dict[str, list[list[str]]] = {}
    for problem in problems:
        baseline = f"loss without memory {problem.task.baseline:.3f}"
        sections[f"{problem.task_name}, {short_name(problem.cell_name)}; {baseline}"] = rows = []
        for name in problem.trainers:
            seeds = functools.partial(_select, records, task=problem.task_name, cell=problem.cell_name, estimator=name)
            medians = [[np.median(seeds(field, moment=m)) for m in MOMENTS] for field in QUALITIES if name != "BPTT"]
            quality = ["→".join(f"{value:.2f}" for value in each) for each in medians] or ["1", "0", "0"]
            windows_only = (problem.task_name, name) == ("characters", "BPTT")
            loss = "-" if windows_only else f"{np.median(seeds('final_loss')):.3f}"
            cost = functools.partial(_select, records, part="cost", cell=problem.cell_name, steps=longest)
            (time,) = cost("median_ms", estimator=name) / cost("median_ms", estimator="BPTT")
            (memory,) = cost("temporary_bytes", estimator=name) / 1e6
            rows.append([name, *quality, loss, f"{time:.1f}", f"{memory:.2f}"])
    titles = ("estimator", *QUALITIES, "loss", "time, x", "MB")
    columns = [Column(title, operator.itemgetter(i), right=i > 0) for i, title in enumerate(titles)]
    caption = (
        "cosine of an estimate and the exact gradient of the cell; bias of the mean and spread, as shares of its norm; "
        "initial→trained parameters. loss: in the last tenth of the steps. time (multiple of BPTT's) and memory beside "
        f"inputs of one gradient: at T = {longest} on {config.tasks[0]}. Medians over seeds.\n"
    )
    return Table(columns, sections, caption)


def _figure(config: Config, problems: Sequence[Problem], records: Records, curves: Mapping[str, Any]) -> bytes:
    """Draws the learning curves on each task; below, cosine to the exact gradient, and memory and time over T."""
    cell, names = problems[0].cell_name, list(problems[0].trainers)
    colors = {name: f"C{i}" for i, name in enumerate(names)}
    select = functools.partial(_select, records, cell=cell)
    figure = plotting.figure((13, 7.5))
    above, below = figure.subfigures(2, 1, squeeze=False)[:, 0]
    for axis, (task_name, _, task, *_) in zip(np.atleast_1d(above.subplots(1, len(problems))), problems, strict=True):
        streams = task_name == "characters"
        for name in names[streams:]:  # BPTT does not train on the streams
            band(axis, *windows(curves[f"{task_name}/{cell}/{name}"], POINTS), colors[name], name)
            axis.lines[-1].set_linewidth(5 if name == "BPTT" else 1.5)  # RTRL's line lies on BPTT's
        axis.axhline(task.baseline, color="black", linestyle=":", lw=1)
        steps = f"a stream, {config.segment} a step" if streams else f"{task.sequence_length} steps"
        axis.set(title=f"{task_name}, {steps}", xlabel="optimization step", ylabel="loss (dotted: without memory)")
        axis.set_ylim(0, 1.5 * task.baseline)  # the first losses show the initialisation only
        axis.grid(alpha=0.3)
    axes = below.subplots(1, 3)
    groups = [(task, moment) for task in config.tasks for moment in MOMENTS]
    bars = {e: [np.median(select("cosine", estimator=e, task=t, moment=m)) for t, m in groups] for e in names[1:]}
    grouped_bars(axes[0], [f"{task},\n{moment}" for task, moment in groups], bars, [colors[e] for e in bars])
    axes[0].set(ylabel="cosine to the gradient, before and after training")
    axes[0].tick_params(axis="x", labelsize=6)
    panels = (("temporary_bytes", 1e-6, "temporary memory (MB)"), ("median_ms", 1, "time of a gradient (ms)"))
    for axis, (field, scale, label) in zip(axes[1:], panels, strict=True):
        for name in names:
            lengths, values = (select(key, part="cost", estimator=name) for key in ("steps", field))
            axis.semilogx(lengths, scale * values, "o-", ms=4, color=colors[name], label=name, base=2)
        axis.set(xlabel="T (steps)", ylabel=label, yscale="log")
        axis.grid(alpha=0.3)
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle(f"{short_name(cell)}, {config.hidden_size} units: which gradient? Medians of {config.seeds} seeds")
    return plotting.png(figure)
