"""The figures."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.throughput import quantities
from experiments.throughput.job import Record
from experiments.throughput.peers import ours
from rnn_jax import plotting

MARKS = "osv^DPX*"


def figures(records: Sequence[Record]) -> dict[str, bytes]:
    """A PNG for each part that has records and is a curve or bars, by the part's name."""
    makers: dict[str, Callable[[Sequence[Record]], Figure]] = {
        "layers": _layers,
        "lengths": _lengths,
        "recipes": _recipes,
        "memory": _memory,
        "compilation": _compilation,
        "seeds": _seeds,
    }
    found = {}
    for part, make in makers.items():
        of_part = quantities.select(records, part=part)
        if of_part:
            found[part] = plotting.png(make(of_part))
    return found


TITLES = {
    "layers": "Forward and backward, each cell and shape",
    "lengths": "Time over T",
    "recipes": "Trainings of the long-dependency benchmark",
    "memory": "Temporary memory over T",
    "compilation": "Time to compile",
    "seeds": "Time per seed",
}


def _figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    figure = plotting.figure(size)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _layers(records: Sequence[Record]) -> Figure:
    """Bars of the ratio to the reference, a panel a cell, a group a shape."""
    unit = quantities.reference(records)
    times = quantities.times(records, mode="forward_backward")
    cells = list(dict.fromkeys(cell for cell, _ in times))
    names = [name for name in quantities.values(records, "contestant") if name != unit]
    figure, axes = _figure(len(cells), 1, (11, 3.2 * len(cells)))
    for axis, cell in zip(axes[:, 0], cells, strict=True):
        shapes = [shape for c, shape in times if c == cell]
        for number, name in enumerate(names):
            ratios = quantities.ratios(times, name, unit)
            heights = [ratios.get((cell, shape), np.nan) for shape in shapes]
            places = np.arange(len(shapes)) + (number - (len(names) - 1) / 2) * 0.8 / len(names)
            axis.bar(places, heights, 0.8 / len(names), label=name, color=f"C{number}")
        axis.axhline(1, color="black", lw=1)
        axis.set_xticks(range(len(shapes)), shapes)
        axis.set(title=cell, ylabel=f"time / {unit}'s")
        axis.grid(alpha=0.3, axis="y")
    axes[-1, 0].set_xlabel("B x T x D x H")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle(f"Forward and backward: median time as a multiple of {unit}'s (line), less is faster")
    return figure


def _curves(axis: Axes, records: Sequence[Record], by: str, x: str, y: str, scale: float) -> None:
    for number, name in enumerate(quantities.values(records, by)):
        of_line = quantities.select(records, **{by: name})
        xs, ys = [r[x] for r in of_line], [r[y] * scale for r in of_line]
        axis.plot(xs, ys, marker=MARKS[number % len(MARKS)], label=name)
    axis.set(xscale="log", yscale="log")
    axis.grid(alpha=0.3, which="both")


def _lengths(records: Sequence[Record]) -> Figure:
    figure, axes = _figure(1, 1, (7.5, 4.8))
    _curves(axes[0, 0], records, "contestant", "steps", "median_ms", 1)
    first = records[0]
    sizes = f"B = {first['batch']}, D = {first['input_size']}, H = {first['hidden_size']}"
    axes[0, 0].set(xlabel="T (steps)", ylabel="median time (ms)", title=f"LSTM, {sizes}, forward and backward")
    axes[0, 0].legend(frameon=False)
    return figure


def _recipes(records: Sequence[Record]) -> Figure:
    """Bars of sequences a second, a group a task, with the ratio of the times above ours."""
    figure, axes = _figure(1, 1, (7.5, 4.2))
    axis, ratios = axes[0, 0], quantities.recipe_ratios(records)
    tasks, names = quantities.values(records, "task"), quantities.values(records, "contestant")
    for number, name in enumerate(names):
        of_name = quantities.select(records, contestant=name)
        places = np.arange(len(tasks)) + (number - (len(names) - 1) / 2) * 0.8 / len(names)
        bars = axis.bar(places, [r["sequences_per_second"] for r in of_name], 0.8 / len(names), label=name)
        if name == ours.DEFAULT and ratios:
            axis.bar_label(bars, [f"in {quantities.number(ratios[task])} of the time" for task in tasks], fontsize=8)
    lengths = [quantities.select(records, task=task)[0]["steps"] for task in tasks]
    axis.set_xticks(range(len(tasks)), [f"{task}\nT = {steps}" for task, steps in zip(tasks, lengths, strict=True)])
    first = records[0]
    axis.set(
        ylabel="training sequences (1/s)",
        title=f"All of {first['cells']}, {first['seeds']} seeds each, B = {first['batch']}, H = {first['hidden_size']}",
    )
    axis.margins(y=0.12)
    axis.grid(alpha=0.3, axis="y")
    axis.legend(frameon=False)
    return figure


def _memory(records: Sequence[Record]) -> Figure:
    figure, axes = _figure(1, 1, (7.5, 4.8))
    _curves(axes[0, 0], records, "way", "steps", "temporary_bytes", 1e-6)
    axes[0, 0].set(xlabel="T (steps)", ylabel="temporary memory (MB)", title="Gradient of a loss on the final state")
    axes[0, 0].legend(frameon=False)
    return figure


def _compilation(records: Sequence[Record]) -> Figure:
    figure, axes = _figure(1, 2, (9, 4))
    labels = {"steps": "T (steps), one layer", "layers": "layers, T = 100"}
    for axis, (over, label) in zip(axes[0], labels.items(), strict=True):
        of_sweep = quantities.select(records, over=over)
        for number, stage in enumerate(("lower", "compile")):
            of_stage = quantities.select(of_sweep, stage=stage)
            xs, ys = [r[over] for r in of_stage], [r["median_ms"] / 1e3 for r in of_stage]
            axis.plot(xs, ys, marker=MARKS[number], label={"lower": "trace and lower"}.get(stage, stage))
        axis.set(xlabel=label, ylabel="median time (s)", xscale="log" if over == "steps" else "linear")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[0, 0].legend(frameon=False)
    figure.suptitle("Time to compile forward and backward of an LSTM")
    return figure


def _seeds(records: Sequence[Record]) -> Figure:
    figure, axes = _figure(1, 1, (7.5, 4.8))
    _curves(axes[0, 0], records, "way", "seeds", "median_ms_a_seed", 1)
    seeds = quantities.values(records, "seeds")
    axes[0, 0].set_xscale("log", base=2)
    axes[0, 0].set_xticks(seeds, [str(n) for n in seeds])
    axes[0, 0].set_yscale("linear")
    axes[0, 0].set_ylim(bottom=0)
    title = f"{records[0]['cell']} {records[0]['shape']}, forward and backward"
    axes[0, 0].set(xlabel="seeds in one program", ylabel="median time a seed (ms)", title=title)
    axes[0, 0].legend(frameon=False)
    return figure
