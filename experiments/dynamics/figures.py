"""Figures: each cell's spectrum over the training; exponent, horizon and loss over the steps."""

import functools
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import FixedLocator

from experiments.common.figures import band, windows
from experiments.dynamics.summary import Pair, largest
from rnn_jax import plotting

COLUMNS = 3  # of panels
LINEAR = 0.1
TICKS = [-3, -1, -0.3, -0.1, -0.05, 0, 0.05, 0.1, 0.3, 1, 3]
LOWEST = -5.0  # nats per step; a direction with a lower exponent vanishes within a step or two


def draw(pairs: Sequence[Pair]) -> plotting.Drawings:
    """Returns caption and drawing by file name."""
    return {
        "spectrum.png": ("Lyapunov spectra over the training", functools.partial(spectrum_figure, pairs)),
        "training.png": ("Largest exponent, gradient horizon and loss", functools.partial(training_figure, pairs)),
    }


def spectrum_figure(pairs: Sequence[Pair]) -> bytes:
    """Draws sorted exponents, a panel for each cell, a line for each checkpoint (median over seeds). Returns a PNG."""
    rows = -(-len(pairs) // COLUMNS)
    figure = plotting.figure((11, 0.8 + 3.4 * rows))
    axes = figure.subplots(rows, min(COLUMNS, len(pairs)), sharey=True, squeeze=False)
    colors, scale = matplotlib.colormaps["viridis"], Normalize(0, pairs[0][1].steps[-1])
    for axis, (run, outcome) in zip(axes.flat, pairs, strict=False):
        for step, snapshot in zip(outcome.steps, outcome.snapshots, strict=True):
            exponents = np.median(snapshot["lyapunov"], axis=0)
            axis.plot(np.arange(1, len(exponents) + 1), exponents, marker=".", ms=3, color=colors(scale(step)))
        axis.axhline(0, color="black", lw=0.8)
        axis.axhline(-1 / run.task.dependency, color="crimson", lw=1, ls="--")
        n = outcome.snapshots[0]["lyapunov"].shape[1]
        axis.set(title=run.label, xlabel=f"i, of {n} exponents", xlim=(0, n + 1))
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(pairs) :]:
        axis.set_visible(False)
    shown = np.concatenate([np.ravel(each["lyapunov"]) for _, outcome in pairs for each in outcome.snapshots])
    _near_zero(axes[0, 0])
    axes[0, 0].set_ylim(max(LOWEST, np.min(shown)), max(LINEAR, 1.1 * np.max(shown)))
    for axis in axes[:, 0]:
        axis.set_ylabel(r"Lyapunov exponent $\lambda_i$ (nats/step)", gid=plotting.FORMULA)
    figure.colorbar(ScalarMappable(scale, colors), ax=axes, label="optimization step")
    run, outcome = pairs[0]
    figure.suptitle(
        f"Lyapunov spectrum over the training: {type(run.task).__name__}, T = {run.task.length}, median of "
        f"{len(outcome.history.loss)} seeds\n"
        f"(a direction above the dashed line, -1/{run.task.dependency}, is remembered over {run.task.dependency} "
        "steps; -inf, of a ReLU that is off, is not drawn)"
    )
    return plotting.png(figure)


def training_figure(pairs: Sequence[Pair]) -> bytes:
    """Draws largest exponent, gradient horizon and loss over the steps; median and range over seeds. Returns a PNG."""
    figure = plotting.figure((9, 9.5))
    axes = figure.subplots(3, 1, sharex=True)
    for number, (run, outcome) in enumerate(pairs):
        color, steps = f"C{number}", np.array(outcome.steps)
        band(axes[0], steps, np.stack([largest(each) for each in outcome.snapshots], axis=1), color, run.label)
        band(axes[1], steps, np.stack([each["horizon"] for each in outcome.snapshots], axis=1), color, run.label)
        band(axes[2], *windows(outcome.history.loss, 10 * (len(outcome.steps) - 1)), color, run.label)
    task = pairs[0][0].task
    axes[0].axhline(0, color="black", lw=0.8)
    _near_zero(axes[0])
    axes[0].set_ylabel(r"largest exponent $\lambda_1$ (nats/step)", gid=plotting.FORMULA)
    axes[1].set(ylabel="horizon of the gradient (steps back)", ylim=(0, None))
    axes[2].axhline(task.baseline, color="black", lw=0.8, ls="--", label="baseline")
    axes[2].set(ylabel="training loss", yscale="log", xlabel="optimization step")
    axes[2].set_ylim(top=10 * task.baseline)  # an IRNN's first losses may be of any size
    for axis in axes:
        axis.grid(alpha=0.3)
    seeds = len(pairs[0][1].history.loss)
    figure.legend(*axes[2].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"{type(task).__name__}, T = {task.length}: median and range of {seeds} seeds")
    return plotting.png(figure)


def _near_zero(axis: Axes) -> None:
    """Sets a scale that is linear near zero, the exponents that decide about memory, and logarithmic beyond."""
    axis.set_yscale("symlog", linthresh=LINEAR)
    axis.yaxis.set_major_locator(FixedLocator(TICKS))
    axis.yaxis.set_major_formatter("{x:g}")
