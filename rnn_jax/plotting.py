"""Figures without a display and without matplotlib's global state."""

import dataclasses
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMULA = "formula"  # gid of a text that matplotlib is to typeset; every other text is drawn as it is
Drawing = Callable[[], bytes]  # draws a figure and returns a PNG: once all numbers have been written
Drawings = Mapping[str, tuple[str, Drawing]]  # caption and drawing of each figure, by file name
FLOOR = 1e-20  # smallest value on a logarithmic axis


def figure(size: tuple[float, float]) -> "Figure":
    """Returns an empty figure of (width, height) inches, which matplotlib's `pyplot` does not know."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    empty = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(empty)
    return empty


def png(drawn: "Figure") -> bytes:
    """Returns a figure as the content of a PNG file; a `$` in a user's text starts no formula."""
    from matplotlib.text import Text
    from matplotlib.ticker import LogFormatter

    axes = itertools.chain(*((each.xaxis, each.yaxis) for each in drawn.axes))
    logarithmic = [axis for axis in axes if isinstance(axis.get_major_formatter(), LogFormatter)]
    powers = {label for axis in logarithmic for label in axis.get_ticklabels(which="both")}
    for text in drawn.findobj(Text):
        text.set_parse_math(text in powers or text.get_gid() == FORMULA)
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


@dataclasses.dataclass(frozen=True)
class Line:
    """The curves of one cell in `lag_figure`.

    Args:
      label: name in the legend.
      color: color of the line.
      style: matplotlib line style.
      before: relative gradient norms before training [seeds, lags].
      after: relative gradient norms after training [seeds, lags].
      theory: first-order theory before training [lags].
    """

    label: str
    color: str
    style: Any
    before: np.ndarray
    after: np.ndarray
    theory: np.ndarray


def lag_figure(lines: Sequence[Line], title: str) -> bytes:
    """Draws the gradient norm over the lag, relative to lag 0, before training (left) and after (right).

    A line is the median over seeds, its band their range; a dotted line is the first-order theory.

    Args:
      lines: one entry for each cell.
      title: title of the figure.

    Returns:
      The content of a PNG file.
    """
    drawn = figure((11, 4.8))
    axes = drawn.subplots(1, 2, sharey=True)
    for axis, phase in zip(axes, ("before", "after"), strict=True):
        for line in lines:
            curves = getattr(line, phase)
            lags = np.arange(curves.shape[1])
            middle, lowest, highest = (statistic(curves, axis=0) for statistic in (np.median, np.min, np.max))
            middle = np.where(middle > 0, middle, np.nan)  # an underflowed norm has no logarithm and ends its line
            axis.plot(lags, middle, color=line.color, linestyle=line.style, label=line.label)
            axis.fill_between(lags, np.maximum(lowest, FLOOR), highest, color=line.color, alpha=0.15, lw=0)
            if phase == "before":
                axis.plot(lags, line.theory, color=line.color, linestyle=":", lw=1)
        axis.set(title=f"{phase} training", xlabel="lag k (steps before the last)", yscale="log")
        axis.grid(alpha=0.3)
    curves = np.concatenate([np.ravel(c) for line in lines for c in (line.before, line.after)])
    shown = curves[np.isfinite(curves) & (curves > FLOOR)]
    axes[0].set_ylim(max(np.min(shown, initial=1) / 3, FLOOR), np.max(shown, initial=1) * 3)
    axes[0].set_ylabel(r"$\|\partial L/\partial s_{T-k}\|\ /\ \|\partial L/\partial s_T\|$", gid=FORMULA)
    axes[0].plot([], [], color="gray", linestyle=":", lw=1, label="linearised at rest (theory)")
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    drawn.suptitle(title)
    return png(drawn)


def attention_figure(
    panels: Sequence[tuple[np.ndarray, Sequence[str], Sequence[str]]],
    xlabel: str = "source",
    ylabel: str = "translation",
) -> bytes:
    """Draws attention weights, a panel for each sequence, with the written tokens from top to bottom.

    Args:
      panels: weights [T, S], the S tokens attended to, and the T tokens written; a blank is drawn as a visible sign.
      xlabel: what is attended to.
      ylabel: what is written.

    Returns:
      The content of a PNG file.
    """
    width = max(4.6, 0.17 * max(len(attended) for _, attended, _ in panels))  # a token's label needs 0.17 inches
    drawn = figure((width * len(panels), 4.8))
    image: Any = None
    for axis, (weights, *tokens) in zip(drawn.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        image = axis.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        attended, written = ([token if token.strip() else "\u2423" for token in each] for each in tokens)
        axis.set_xticks(range(len(attended)), attended, rotation=60, ha="right")
        axis.set_yticks(range(len(written)), written)
        axis.set(xlabel=xlabel, ylabel=ylabel)
    drawn.colorbar(image, ax=drawn.axes, label="attention weight", shrink=0.8)
    return png(drawn)
