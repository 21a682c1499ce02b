"""The figure of a cell: what is learnt above, how near and how dear the estimates are below."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from experiments.gradient_estimators.results import Results, short
from rnn_jax import plotting

SMOOTHED = 20  # steps of the running mean of a learning curve


def figure(results: Results, cell_name: str) -> bytes:
    """Learning curves, a panel a task; below: cosine to the exact gradient, memory and time over T. Returns a PNG."""
    problems = [p for p in results.problems if p.cell_name == cell_name]
    names = results.estimators(cell_name)
    colors = {name: f"C{i}" for i, name in enumerate(names)}
    drawn = plotting.figure((13, 7.5))
    grid = drawn.add_gridspec(2, 1)
    above, below = (drawn.add_subfigure(grid[row]) for row in range(2))
    for axis, problem in zip(np.atleast_1d(above.subplots(1, len(problems))), problems, strict=True):
        for name in names:
            if (problem.task_name, name) != ("characters", "BPTT"):
                width = 5.0 if name == "BPTT" else 1.5  # RTRL lies on it
                _curve(axis, results.losses[problem.task_name, cell_name, name], colors[name], width)
        axis.axhline(problem.task.baseline, color="black", linestyle=":", lw=1)
        axis.set_ylim(0, 1.5 * problem.task.baseline)  # the first steps, from wherever a network began, say nothing
        axis.set(title=f"{problem.task_name}, {problem.task.sequence_length} steps", xlabel="optimization step")
        if problem.task_name == "characters":
            axis.set_title(f"characters, a stream, {results.config.segment} a step")
        axis.grid(alpha=0.3)
    above.axes[0].set_ylabel("loss (dotted: without memory)")
    quality, memory, time = below.subplots(1, 3)
    _quality(quality, results, [p.task_name for p in problems], cell_name, colors)
    for axis, what, unit, scale in ((memory, "temporary_bytes", "MB", 1e-6), (time, "milliseconds", "ms", 1)):
        for name in names:
            costs = results.cost(cell_name, name)
            values = [getattr(c, what) * scale for c in costs]
            axis.plot([c.steps for c in costs], values, "o-", ms=4, color=colors[name])
        steps = sorted({c.steps for c in results.costs})
        axis.set(xscale="log", yscale="log", xlabel="T (steps)", ylabel=f"{what.split('_')[0]} ({unit})", xticks=steps)
        axis.set_xticks([], minor=True)
        axis.set_xticklabels(map(str, steps))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    memory.set(title="memory of a gradient, beside inputs", ylabel="temporary memory (MB)")
    time.set(title="time of a gradient", ylabel="time (ms)")
    handles = list(time.get_lines())
    drawn.legend(handles, names, loc="outside right center", frameon=False)
    seeds = results.config.seeds
    drawn.suptitle(f"{short(cell_name)}, {results.config.hidden_size} units: which gradient? Medians of {seeds} seeds")
    return plotting.png(drawn)


def _curve(axis: Axes, losses: np.ndarray, color: str, width: float) -> None:
    """The median over seeds of running means, and their range."""
    window = min(SMOOTHED, losses.shape[1])
    smooth = np.array([np.convolve(loss, np.ones(window) / window, mode="valid") for loss in losses])
    steps = np.arange(window, losses.shape[1] + 1)
    axis.plot(steps, np.median(smooth, axis=0), color=color, lw=width, alpha=0.5 if width > 2 else 1)
    axis.fill_between(steps, np.min(smooth, axis=0), np.max(smooth, axis=0), color=color, alpha=0.12, lw=0)


def _quality(axis: Axes, results: Results, tasks: list[str], cell_name: str, colors: dict[str, str]) -> None:
    """Cosines: a column a task, fresh and trained beside each other."""
    for place, task in enumerate(tasks):
        found = results.quality[task, cell_name]
        for side, of in ((-0.2, found.before), (0.2, found.after)):
            for index, (name, quality) in enumerate(of.items()):
                x = place + side + 0.025 * (index - len(of) / 2)
                axis.plot(np.full(len(quality.cosine), x), quality.cosine, ".", color=colors[name], alpha=0.5)
                axis.plot(x, np.median(quality.cosine), "_", ms=9, mew=2.5, color=colors[name])
    axis.axhline(1, color=colors["BPTT"], lw=1)
    axis.axhline(0, color="black", lw=0.8)
    axis.set(
        title="cosine of one estimate and the gradient\n(left fresh, right trained parameters)",
        ylabel="cosine",
        ylim=(-0.3, 1.08),
    )
    axis.set_xticks(range(len(tasks)), tasks)
    axis.grid(alpha=0.3, axis="y")
