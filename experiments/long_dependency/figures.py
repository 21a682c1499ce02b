"""Figures: losses beside the memoryless baseline, and the largest T that each cell solves."""

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.long_dependency.result import Result, by_length, by_task
from rnn_jax import plotting

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 4  # panels a row at the most


def draw(results: Sequence[Result]) -> plotting.Drawings:
    """Returns caption and drawing by file name: losses of each task, and its cells' reach if it has several lengths."""
    colors = {cell: f"C{i % 10}" for i, cell in enumerate(dict.fromkeys(r.cell for r in results))}
    pngs = {}
    for task, rows in by_task(results).items():
        pngs[f"{task}.png"] = (task, functools.partial(losses, rows, colors))
        if len(by_length(rows)) > 1:
            pngs[f"{task}_reach.png"] = (f"{task}: largest T solved", functools.partial(reach, rows, colors))
    return pngs


def losses(results: Sequence[Result], colors: dict[str, str]) -> bytes:
    """Draws test loss over training sequences, one panel for each T: median and range over seeds. Returns a PNG."""
    from matplotlib import ticker

    lengths = by_length(results)
    columns = min(COLUMNS, len(lengths))
    lines = -(-len(lengths) // columns)
    figure = plotting.figure((max(7, 3.4 * columns + 2), 3.4 * lines + 0.8))
    axes = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axis, (length, rows) in zip(axes, lengths.items(), strict=False):
        for result in rows:
            curves = np.array(result.curves["loss"])
            seen = np.array(result.steps) * result.batch_size
            color = colors[result.cell]
            middle, least, most = (reduce(curves, axis=0) for reduce in (np.median, np.min, np.max))
            if len(seen) == 1:  # a single evaluation has no line
                axis.errorbar(seen, middle, [middle - least, most - middle], fmt="_", color=color, ms=12, capsize=4)
            axis.plot(seen, middle, color=color)
            axis.fill_between(seen, least, most, color=color, alpha=0.2, lw=0)
            if math.isfinite(result.sequences_until_solved):
                index = result.steps.index(int(result.sequences_until_solved) // result.batch_size)
                axis.plot(seen[index], middle[index], "o", color=color, ms=6)
        axis.axhline(rows[0].baseline, color="black", linestyle="--", lw=1)
        axis.set(title=f"T = {length}", yscale="log", xlabel="training sequences")
        axis.set_xlim(left=0)
        axis.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
        axis.grid(alpha=0.3)
    for axis in axes[len(lengths) :]:
        axis.remove()
    unit = "mean squared error" if results[0].metric == "mse" else "cross-entropy (nats a step)"
    axes[0].set_ylabel(f"loss on the test set, {unit}")
    # The first evaluation of a network that explodes would leave no room for the rest.
    lowest = min(np.nanmin(r.curves["loss"]) for r in results)
    axes[0].set_ylim(max(lowest / 1.5, 1e-6), 4 * max(r.baseline for r in results))
    for cell in dict.fromkeys(r.cell for r in results):
        axes[0].plot([], [], color=colors[cell], label=cell)
    axes[0].plot([], [], color="black", linestyle="--", lw=1, label="without memory")
    axes[0].plot([], [], "o", color="gray", ms=6, label="solved (median)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle(f"{results[0].task} ({results[0].variant}), {results[0].seeds} seeds")
    return plotting.png(figure)


def reach(results: Sequence[Result], colors: dict[str, str]) -> bytes:
    """Draws sequences until solved over T on the left, the largest T solved on the right. Returns a PNG."""
    figure = plotting.figure((11, 4.4))
    left, right = figure.subplots(1, 2, width_ratios=(1.4, 1))
    lengths = list(by_length(results))
    _sequences_over_length(left, results, colors)
    left.set(xticks=lengths, xticklabels=[str(t) for t in lengths])
    left.minorticks_off()

    cells = list(dict.fromkeys(r.cell for r in results))
    solved = [max((r.length for r in results if r.cell == c and 2 * r.solving > r.seeds), default=0) for c in cells]
    bars = right.barh(range(len(cells)), solved, color=[colors[c] for c in cells])
    right.bar_label(bars, [str(t) if t else "none" for t in solved], padding=4)
    right.set(
        yticks=range(len(cells)),
        yticklabels=cells,
        xlabel="largest T solved by most seeds (steps)",
        xlim=(0, 1.15 * max(lengths)),
    )
    right.invert_yaxis()
    figure.suptitle(f"{results[0].task} ({results[0].variant}): how far each cell gets, {results[0].seeds} seeds")
    return plotting.png(figure)


def _sequences_over_length(axis: "Axes", results: Sequence[Result], colors: dict[str, str]) -> None:
    from matplotlib import ticker

    cells = list(dict.fromkeys(r.cell for r in results))
    for place, cell in enumerate(cells):
        shift = 1.02 ** (place - (len(cells) - 1) / 2)  # equal budgets would hide each other
        cell_results = sorted((r for r in results if r.cell == cell), key=lambda r: r.length)
        known = [r for r in cell_results if math.isfinite(r.sequences_until_solved)]
        unsolved = [r for r in cell_results if r not in known]
        for marks, marked, sequences in (
            ("o-", known, [r.sequences_until_solved for r in known]),
            ("x", unsolved, [r.steps[-1] * r.batch_size for r in unsolved]),
        ):
            axis.plot([shift * r.length for r in marked], sequences, marks, color=colors[cell])
        axis.plot([], [], "o-", color=colors[cell], label=cell)
    axis.set(xscale="log", yscale="log", xlabel="T (steps)", ylabel="training sequences until solved (median)")
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axis.yaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    axis.yaxis.set_minor_formatter(ticker.NullFormatter())
    axis.plot([], [], "x", color="gray", label="not solved in so many")
    axis.legend(frameon=False, fontsize=8)
    axis.grid(alpha=0.3)
