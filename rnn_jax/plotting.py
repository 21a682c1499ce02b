"""Figures, drawn without a display and without matplotlib's global state."""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


@dataclasses.dataclass(frozen=True)
class Line:
    """Curves [seeds, lags] of one cell, before and after training, and its theory [lags] before."""

    label: str
    color: str
    style: str
    before: np.ndarray
    after: np.ndarray
    theory: np.ndarray | None


def lag_figure(lines: Sequence[Line], title: str) -> bytes:
    """Gradient norm over lag, relative to the last step, log scale: before training on the left, after on the right.

    A line is the geometric mean over seeds, its band their range; a dotted line is the first-order theory. Returns a
    PNG.
    """
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, sharey=True)
    for axis, phase in zip(axes, ("before", "after"), strict=True):
        for line in lines:
            curves = getattr(line, phase)
            # Underflown norms have no logarithm; they end their line.
            log = np.log10(np.where(curves > 0, curves, np.nan))
            lags = np.arange(curves.shape[1])
            axis.plot(lags, 10 ** np.mean(log, axis=0), color=line.color, linestyle=line.style, label=line.label)
            axis.fill_between(
                lags, 10 ** np.min(log, axis=0), 10 ** np.max(log, axis=0), color=line.color, alpha=0.15, lw=0
            )
            if phase == "before" and line.theory is not None:
                axis.plot(lags, line.theory, color=line.color, linestyle=":", lw=1)
        axis.set(title=f"{phase} training", xlabel="lag k (steps before the last)", yscale="log")
        axis.grid(alpha=0.3)
    lowest = min(float(np.nanmin(np.where(c > 0, c, np.nan))) for line in lines for c in (line.before, line.after))
    axes[0].set_ylim(bottom=max(lowest / 3, 1e-20))
    axes[0].set_ylabel(r"$\|\partial L/\partial s_{T-k}\|\ /\ \|\partial L/\partial s_T\|$")
    axes[0].plot([], [], color="gray", linestyle=":", lw=1, label="linearised at rest (theory)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
