"""Figures, tables and sentences, computed from the records of the seeds at each gain."""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.common.figures import band
from experiments.common.numbers import number
from experiments.common.run_folder import Report, Table
from experiments.exploding.config import ACTIVATIONS, MATRICES, Plan
from rnn_jax import plotting
from rnn_jax.report import Column

SHUT = 0.9  # share of saturated activations above which a network passes no gradient
LATE = 1.1  # multiple of the baseline above which a loss is worse than ignoring the inputs; noise is about 5 %
FATES = {
    "sound": ("#cfe8cf", "finite, within 10 % of the baseline or better"),
    "late": ("#f6dfa4", "finite, but worse than that"),
    "shut": ("#d3d3d3", "finite, but over 90 % of the activations shut: no gradient passes"),
    "lost": ("#eda9a0", "at least half of the seeds met NaN or infinity"),
}

Records = Sequence[Mapping[str, Any]]
Rows = dict[float, dict[str, list[Mapping[str, Any]]]]  # gain -> activation or clipping -> records of the seeds


def summarize(plan: Plan, initial: Records, trained: Records) -> Report:
    """Returns figures, tables and findings: the critical gains, slopes beyond the bound, seeds that stay finite."""
    boundaries, trainings = _by_gain(initial, "matrix", "activation"), _by_gain(trained, "activation", "clipping")
    critical = [f"{m} {a} {critical_gain(boundaries[m], a):.2f}" for m in MATRICES for a in ACTIVATIONS]
    above = sum(record["before/slope"] > record["theory/bound"] + 1e-3 for record in initial)
    shares = []
    for activation, clipping in plan.trainers:
        seeds = [seed for row in trainings[activation].values() for seed in row[clipping]]
        shares.append(f"{activation} {clipping} {finite(seeds) / len(seeds):.0%}")
    findings = [
        f"At initialisation the gradient grows backwards from the gain: {', '.join(critical)} (nan: at none measured).",
        f"{above} of {len(initial)} measured slopes lie above ln of the largest singular value.",
        f"Seeds that stay finite, over all gains, by activation and clipping: {', '.join(shares)}.",
    ]
    figures = {
        "boundary.png": (
            "Growth of the gradient over the recurrent gain",
            functools.partial(_boundary_figure, plan, boundaries),
        ),
        "training.png": ("Trainings by gain and clipping", functools.partial(_training_figure, plan, trainings)),
    }
    tables = [_boundary_table(boundaries), _training_table(plan, trainings)]
    return Report("Exploding gradients", findings, tables, figures)


def _by_gain(records: Records, section: str, column: str) -> dict[str, Rows]:
    sections: dict[str, Rows] = {}
    for record in records:
        row = sections.setdefault(record[section], {}).setdefault(record["gain"], {})
        row.setdefault(record[column], []).append(record)
    return sections


def median(seeds: Records, field: str, default: float = math.nan) -> float:
    """Returns the median of a field over the seeds that have it."""
    values = [seed[field] for seed in seeds if seed[field] is not None]
    return float(np.median(values)) if values else default


def finite(seeds: Records) -> int:
    """Returns the number of seeds that never met a NaN or an infinity."""
    return sum(not seed["diverged"] for seed in seeds)


def fate(seeds: Records) -> str:
    """Returns `lost` if half of the seeds or more diverged, else `shut`, `late` (above the baseline) or `sound`."""
    if finite(seeds) * 2 <= len(seeds):
        return "lost"
    if median(seeds, "after/shut") > SHUT:
        return "shut"
    return "late" if median(seeds, "end_loss") > LATE * seeds[0]["baseline"] else "sound"


def critical_gain(rows: Rows, activation: str) -> float:
    """Returns the gain at which the median slope turns positive, linear in ln g between gains; NaN if at none."""
    gains, slopes = list(rows), [median(row[activation], "before/slope") for row in rows.values()]
    for i in range(len(gains) - 1):
        if slopes[i] < 0 <= slopes[i + 1]:
            return math.exp(np.interp(0, slopes[i : i + 2], np.log(gains[i : i + 2])))
    return math.nan


def _boundary_table(boundaries: dict[str, Rows]) -> Table:
    def column(title: str, activation: str, field: str = "before/slope") -> Column:
        return Column(title, lambda row: f"{median(row[1][activation], field):+.3f}")

    columns = [
        Column("gain", lambda row: f"{row[0]:g}"),
        *(column(name, name) for name in ACTIVATIONS),
        column("at rest", "linear", "theory/at_rest"),
        column("bound", "linear", "theory/bound"),
    ]
    caption = "Slope of ln ||dL/ds(T-k)|| over lag k (nats/step), medians; bound: ln of W_h's largest singular value.\n"
    return Table(columns, {f"{matrix} W_h": list(rows.items()) for matrix, rows in boundaries.items()}, caption)


def _training_table(plan: Plan, trainings: dict[str, Rows]) -> Table:
    def result(name: str, row: Any) -> str:
        seeds = row[1][name]
        step = f"@{median(seeds, 'diverged_at'):.0f}" if finite(seeds) < len(seeds) else ""
        return f"{finite(seeds)}/{len(seeds)}{step} {number(median(seeds, 'end_loss'), 3, 0)}"

    def largest(row: Any) -> str:
        seeds = [seed for seed in row[1]["none"] if seed["largest_grad_norm"]]
        return number(median(seeds, "largest_grad_norm", math.inf), 3, 0)

    columns = [
        Column("gain", lambda row: f"{row[0]:g}"),
        Column("largest", largest),
        Column("shut", lambda row: f"{median(row[1]['none'], 'after/shut'):.0%}"),
        *(Column(name, functools.partial(result, name)) for name in plan.config.clippings),
    ]
    caption = (
        f"For each clipping: seeds finite after {plan.config.steps} steps, @ the median step at which others diverged, "
        "and the median loss at the end. largest: norm of a finite gradient without clipping; shut: activations that "
        "pass next to no gradient after training without clipping.\n"
    )
    title = f"SGD; baseline {plan.task.baseline:.4f}"
    sections = {f"{activation}, {title}": list(rows.items()) for activation, rows in trainings.items()}
    return Table(columns, sections, caption)


def _boundary_figure(plan: Plan, boundaries: dict[str, Rows]) -> bytes:
    """Draws slope over gain, measured and in theory, one panel for each kind of matrix."""
    figure, gains = plotting.figure((11, 5)), np.array(plan.gains)
    axes = figure.subplots(1, len(boundaries), sharey=True)
    for axis, (matrix, rows) in zip(axes, boundaries.items(), strict=True):
        axis.axhline(0, color="black", lw=1)
        for color, activation in zip(("C0", "C1", "C2"), ACTIVATIONS, strict=True):
            slopes = np.array([[seed["before/slope"] for seed in row[activation]] for row in rows.values()])
            band(axis, gains, slopes.T, color, f"{activation}, measured")
            if np.isfinite(at := critical_gain(rows, activation)):
                axis.plot(at, 0, "D", color=color, ms=9, mec="black", zorder=3)
                offset = (10, -18) if activation == "tanh" else (-8, 12)
                axis.annotate(f"{at:.2f}", (at, 0), offset, textcoords="offset points", color=color, ha="center")
        bound, rest = ([median(row["linear"], f"theory/{k}") for row in rows.values()] for k in ("bound", "at_rest"))
        axis.plot(gains, bound, ":", color="black", lw=1.3, label="upper bound: ln of largest singular value")
        axis.plot(gains, rest, "--", color="gray", lw=1.3, label="at rest, no unit saturated")
        axis.plot(gains, np.log(gains / 2**0.5), "-.", color="C1", lw=1.3, label="half of the units on: ln (g / √2)")
        axis.set(xlabel="recurrent gain g", title=f"W_h = g x {matrix}")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("slope of ln ||dL/ds(T-k)|| over lag k (nats per step)")
    for word, y, side in (("explodes", 0.02, "bottom"), ("vanishes", -0.02, "top")):
        axes[0].text(0.02, y, word, transform=axes[0].get_yaxis_transform(), va=side, color="gray")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    title = f"adding T = {plan.task.length}, {plan.config.hidden_size} units, {plan.config.seeds} seeds"
    figure.suptitle(f"One step back multiplies the gradient by e^slope at initialisation: {title}")
    return plotting.png(figure)


def _training_figure(plan: Plan, trainings: dict[str, Rows]) -> bytes:
    """Draws finite seeds, and step of divergence or loss, by clipping and gain; a panel for each activation."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    figure, names = plotting.figure((12, 1.2 + 2.6 * len(trainings))), plan.config.clippings
    axes = figure.subplots(len(trainings), 1, squeeze=False)[:, 0]
    colors = ListedColormap([color for color, _ in FATES.values()])
    for axis, (activation, rows) in zip(axes, trainings.items(), strict=True):
        grid = np.zeros((len(names), len(rows)))
        for (y, name), (x, row) in itertools.product(enumerate(names), enumerate(rows.values())):
            result, loss = fate(row[name]), number(median(row[name], "end_loss"), 3, 0)
            grid[y, x] = list(FATES).index(result)
            below = f"at step {median(row[name], 'diverged_at'):.0f}" if result == "lost" else f"loss {loss}"
            text = f"{finite(row[name])}/{len(row[name])}\n{below}"
            axis.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=9)
        axis.pcolormesh(grid, cmap=colors, vmin=-0.5, vmax=len(FATES) - 0.5, edgecolors="white", lw=2)
        axis.invert_yaxis()
        axis.set_xticks(np.arange(len(rows)) + 0.5, [f"{gain:g}" for gain in rows])
        axis.set_yticks(np.arange(len(names)) + 0.5, names)
        axis.tick_params(length=0)
        axis.set(title=activation, ylabel="clipping")
    axes[-1].set_xlabel("recurrent gain g at initialisation (W_h = g x orthogonal)")
    handles = [Patch(facecolor=color, label=label) for color, label in FATES.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    title = f"SGD, {plan.config.steps} steps on adding T = {plan.task.length}: seeds finite of {plan.config.seeds}"
    figure.suptitle(f"{title}; median step of divergence, or last loss (baseline {plan.task.baseline:.3f})")
    return plotting.png(figure)
