"""Figures: the boundary at initialisation, and the fate of the trainings on either side of it."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from experiments.common.figures import band
from experiments.common.numbers import number
from experiments.exploding.boundary import Boundary, critical_gain
from experiments.exploding.config import MATRICES
from experiments.exploding.summary import Results
from rnn_jax import plotting

COLORS = {"tanh": "C0", "relu": "C1", "linear": "C2"}
FATES = {
    "sound": ("#cfe8cf", "finite, within 10 % of the baseline or better"),
    "late": ("#f6dfa4", "finite, but worse than that"),
    "shut": ("#d3d3d3", "finite, but over 90 % of the activations shut: no gradient passes"),
    "lost": ("#eda9a0", "at least half of the seeds met NaN or infinity"),
}
LABELS = {"none": "none", "norm": "by norm", "value": "by value", "adaptive": "adaptive"}


def figures(results: Results) -> dict[str, tuple[str, bytes]]:
    """Returns caption and PNG by file name."""
    return {
        "boundary.png": ("Growth of the gradient over the recurrent gain", boundary_figure(results)),
        "training.png": ("Trainings by gain and clipping", training_figure(results)),
    }


def boundary_figure(results: Results) -> bytes:
    """Draws slope over gain, measured and in theory, one panel for each kind of matrix. Returns a PNG."""
    figure = plotting.figure((11, 5))
    axes = figure.subplots(1, len(MATRICES), sharey=True)
    for axis, matrix in zip(axes, MATRICES, strict=True):
        _boundary_panel(axis, [b for b in results.boundaries if b.matrix == matrix], results.plan.gains)
    axes[0].set_ylabel("slope of ln ||dL/ds(T-k)|| over lag k (nats per step)")
    for word, y, side in (("explodes", 0.02, "bottom"), ("vanishes", -0.02, "top")):
        axes[0].text(0.02, y, word, transform=axes[0].get_yaxis_transform(), va=side, color="gray")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(
        f"One step back multiplies the gradient by e^slope: at initialisation, adding T = {results.plan.task.length}, "
        f"{results.plan.config.hidden_size} units, {results.plan.config.seeds} seeds"
    )
    return plotting.png(figure)


def _boundary_panel(axis: Axes, boundaries: list[Boundary], gains: list[float]) -> None:
    axis.axhline(0, color="black", lw=1)
    for boundary in boundaries:
        color = COLORS[boundary.activation]
        critical = critical_gain(gains, np.median(boundary.slope, axis=1))
        band(axis, np.asarray(gains), boundary.slope.T, color, f"{boundary.activation}, measured")
        if np.isfinite(critical):
            axis.plot(critical, 0, "D", color=color, ms=9, mec="black", zorder=3)
            offset = {"linear": (-8, 12), "tanh": (10, -18), "relu": (-8, 12)}[boundary.activation]
            axis.annotate(
                f"{critical:.2f}", (critical, 0), offset, textcoords="offset points", color=color, ha="center"
            )
    theory = {
        "upper bound: ln of largest singular value": (np.median(boundaries[0].bound, axis=1), (0, (1, 1)), "black"),
        "at rest, no unit saturated": (np.median(boundaries[0].at_rest, axis=1), "--", "gray"),
        "half of the units on: ln (g / √2)": (np.log(np.asarray(gains) / np.sqrt(2)), "-.", COLORS["relu"]),
    }
    for label, (slopes, style, color) in theory.items():
        axis.plot(gains, slopes, linestyle=style, color=color, lw=1.3, label=label)
    title = {"orthogonal": "W_h = g x orthogonal", "gaussian": "W_h = g x Gaussian of variance 1/H"}
    axis.set(xlabel="recurrent gain g", title=title[boundaries[0].matrix])
    axis.grid(alpha=0.3)


def training_figure(results: Results) -> bytes:
    """Draws clipping by gain, a panel for each activation: finite seeds, step of divergence or loss. Returns a PNG."""
    config, task = results.plan.config, results.plan.task
    figure = plotting.figure((12, 1.2 + 2.6 * len(config.activations)))
    axes = figure.subplots(len(config.activations), 1, squeeze=False)[:, 0]
    for axis, activation in zip(axes, config.activations, strict=True):
        _training_panel(axis, results, activation)
    axes[-1].set_xlabel("recurrent gain g at initialisation (W_h = g x orthogonal)")
    handles = [Patch(facecolor=color, label=label) for color, label in FATES.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(
        f"SGD, learning rate {config.learning_rate:g}, {config.steps} steps on adding T = {task.length}: seeds "
        f"still finite of {config.seeds},\nand below them the step of divergence (median), or the last loss (median; "
        f"baseline {task.baseline:.3f})"
    )
    return plotting.png(figure)


def _training_panel(axis: Axes, results: Results, activation: str) -> None:
    gains = results.plan.gains
    rows = [(t, o) for t, o in results.trainings if t.activation == activation]
    fates = list(FATES)
    grid = np.zeros((len(rows), len(gains)))
    for row, (_, outcome) in enumerate(rows):
        for column in range(len(gains)):
            square = outcome.square(column)
            fate = square.fate(results.plan.task.baseline)
            grid[row, column] = fates.index(fate)
            lost = square.finite == 0 or fate == "lost"
            below = f"at step {square.diverged_at:.0f}" if lost else f"loss {number(square.loss, 3, 0)}"
            axis.text(column, row, f"{square.finite}/{square.seeds}\n{below}", ha="center", va="center", fontsize=9)
    colors = ListedColormap([color for color, _ in FATES.values()])
    axis.imshow(grid, cmap=colors, vmin=-0.5, vmax=len(fates) - 0.5, aspect="auto")
    axis.set_xticks(range(len(gains)), [f"{gain:g}" for gain in gains])
    axis.set_yticks(range(len(rows)), [LABELS[t.clipping] for t, _ in rows])
    axis.set_xticks(np.arange(len(gains)) + 0.5, minor=True)
    axis.set_yticks(np.arange(len(rows)) + 0.5, minor=True)
    axis.grid(which="minor", color="white", lw=2)
    axis.tick_params(which="both", length=0)
    axis.set(title=activation, ylabel="clipping")
