"""Figures that several experiments draw, as PNG contents: scores over epochs beside baselines, confusion matrices."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.common.fitting import Baseline, Outcome
from rnn_jax import plotting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLES = (":", "--", "-.", (0, (1, 4)), (0, (4, 4)))  # of the baselines' lines
SHOWN_FROM = 0.5  # percent of a row from which a confusion is written into its square


def second_axis(axis: "Axes", side: str, unit: float, label: str) -> None:
    """Adds an axis at the "right" or the "top" whose numbers are multiples of a unit of the opposite one."""
    functions = (lambda n: np.divide(n, unit), lambda n: np.multiply(n, unit))
    if side == "right":
        axis.secondary_yaxis("right", functions=functions).set_ylabel(label)
    else:
        axis.secondary_xaxis("top", functions=functions).set_xlabel(label)


def validation_figure(
    baselines: Sequence[Baseline[Any]],
    outcomes: Sequence[Outcome[Any]],
    ylabel: str,
    curve: Callable[[np.ndarray], np.ndarray] = np.asarray,
    ylim: tuple[float | None, float | None] = (None, None),
) -> bytes:
    """Draws the validation curve of every seed over the epochs, and the baselines as horizontal lines.

    Args:
      baselines: baselines.
      outcomes: trained networks.
      ylabel: name and unit of the metric.
      curve: function that turns scores into the metric.
      ylim: limits of the vertical axis.
    """
    from matplotlib.ticker import MaxNLocator

    figure = plotting.figure((8, 5))
    axis = figure.subplots()
    for place, outcome in enumerate(outcomes):
        for seed, values in enumerate(curve(outcome.fit.scores)):
            line: dict[str, Any] = {"color": f"C{place}", "lw": 1.2, "label": None if seed else outcome.title}
            if len(values) <= 30:
                line |= {"marker": "o", "ms": 3}
            axis.plot(1 + np.arange(len(values)), values, **line)
    for place, baseline in enumerate(baselines):
        level, style = float(curve(baseline.validation)[0]), STYLES[place % len(STYLES)]
        axis.axhline(level, color="0.35", ls=style, lw=1.2, label=baseline.title)
    axis.set(xlabel="epoch", ylabel=ylabel, ylim=ylim)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return plotting.png(figure)


def grouped_bars(
    axis: "Axes", groups: Sequence[str], bars: Mapping[str, Sequence[float]], colors: Sequence[Any] | None = None
) -> None:
    """Draws one bar of each series in every group.

    Args:
      axis: where to draw.
      groups: labels of the horizontal axis.
      bars: heights [groups] by label of the series.
      colors: color of each series; None takes those of matplotlib.
    """
    places, width = np.arange(len(groups)), 0.8 / len(bars)
    for index, (label, heights) in enumerate(bars.items()):
        color = f"C{index}" if colors is None else colors[index]
        axis.bar(places + (index - (len(bars) - 1) / 2) * width, heights, width, color=color, label=label)
    axis.set_xticks(places, groups)
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)


def bar_panels(
    records: Sequence[Mapping[str, Any]],
    panel: Callable[[Any], tuple[str, str]],
    group: str,
    by: str,
    height: Callable[[Any], float],
    title: str,
    columns: int = 1,
) -> "Figure":
    """Draws panels with groups of bars.

    Args:
      records: flat records.
      panel: function from a record to the title of its panel and the label of the vertical axis there.
      group: template of the label of a record's group.
      by: field that tells the bars of a group apart.
      height: function from a record to the height of its bar.
      title: title of the figure.
      columns: number of panels in a row.
    """
    panels: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for record in records:
        panels.setdefault(panel(record), {})[record[by], group.format_map(record)] = height(record)
    rows, names = -(-len(panels) // columns), list(dict.fromkeys(record[by] for record in records))
    figure = plotting.figure((2 + 7 * columns, 1 + 3.2 * rows))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, ((heading, ylabel), heights) in zip(axes, panels.items(), strict=True):
        groups = list(dict.fromkeys(label for _, label in heights))
        grouped_bars(axis, groups, {name: [heights.get((name, label), np.nan) for label in groups] for name in names})
        axis.set(title=heading, ylabel=ylabel)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    figure.suptitle(title)
    return figure


def lines(
    axis: "Axes", records: Sequence[Mapping[str, Any]], by: str, x: str, y: str, scale: float = 1, log: bool = True
) -> None:
    """Draws field `y` times `scale` over field `x`, which has a logarithmic scale, with a line for each value of `by`.

    Args:
      axis: where to draw.
      records: flat records.
      by: field that tells the lines apart.
      x: field on the horizontal axis.
      y: field on the vertical axis.
      scale: factor of `y`.
      log: whether the vertical axis has a logarithmic scale, too; otherwise it starts at zero.
    """
    for marker, name in zip("osv^DPX*", dict.fromkeys(record[by] for record in records), strict=False):
        line = [record for record in records if record[by] == name]
        axis.plot([r[x] for r in line], [r[y] * scale for r in line], marker=marker, label=name)
    axis.set(xlabel="T (steps)" if x in ("steps", "length") else x, xscale="log", yscale="log" if log else "linear")
    axis.set_xticks([], minor=True)
    places = list(dict.fromkeys(record[x] for record in records))
    axis.set_xticks(places, places)
    axis.set_ylim(bottom=None if log else 0)
    axis.grid(alpha=0.3, which="both")


def curves(
    by: str, x: Sequence[str], y: str, title: str, ylabel: str, scale: float = 1, log: bool = True
) -> Callable[[Sequence[Mapping[str, Any]]], "Figure"]:
    """Returns a drawing of records: a panel with `lines` for each field of `x`.

    Records of several sweeps have a field `over`, which names the `x` of theirs.
    """

    def draw(records: Sequence[Mapping[str, Any]]) -> "Figure":
        figure = plotting.figure((1 + 6.5 * len(x), 4.8))
        axes = figure.subplots(1, len(x), squeeze=False)[0]
        for axis, field in zip(axes, x, strict=True):
            lines(axis, [r for r in records if r.get("over", field) == field], by, field, y, scale, log)
        axes[0].set_ylabel(ylabel)
        axes[0].legend(frameon=False)
        figure.suptitle(title.format(**records[0]))
        return figure

    return draw


def band(axis: "Axes", x: np.ndarray, values: np.ndarray, color: str, label: str) -> None:
    """Draws the median of values [seeds, points] as a line, and their range as a band."""
    axis.plot(x, np.median(values, axis=0), color=color, label=label, marker="o" if len(x) < 20 else None, ms=4)
    axis.fill_between(x, np.min(values, axis=0), np.max(values, axis=0), color=color, alpha=0.15, lw=0)


def windows(values: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the centres of at most `most` equal windows over values [seeds, steps], and the means in them."""
    width = max(1, values.shape[1] // most)
    count = values.shape[1] // width
    means = np.mean(values[:, : count * width].reshape(len(values), count, width), axis=-1)
    return (np.arange(count) + 0.5) * width, means


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Returns counts [classes, classes]: row i, column j counts examples of class i predicted as j.

    Args:
      labels: true classes [N].
      predictions: predicted classes [..., N]; counts add up over the leading axes.
      classes: number of classes.
    """
    from sklearn.metrics import confusion_matrix

    repeated = np.broadcast_to(labels, predictions.shape)
    return confusion_matrix(repeated.ravel(), predictions.ravel(), labels=range(classes))


def confusion_figure(
    panels: Mapping[str, np.ndarray], classes: Sequence[str], rows: Sequence[str] | None = None, ylabel: str = "class"
) -> bytes:
    """Draws confusion matrices in percent of their rows.

    Args:
      panels: counts [classes, classes] by title of the panel.
      classes: names of the classes.
      rows: labels of the rows; None means `classes`.
      ylabel: label of the vertical axis.
    """
    size = 2.4 + 0.42 * len(classes)
    figure = plotting.figure((size * len(panels) + 1.2, size))
    axes = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    for axis, (title, counts) in zip(axes, panels.items(), strict=True):
        totals = counts.sum(axis=1, keepdims=True)
        percent = 100 * np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
        image = axis.imshow(percent, cmap="Blues", vmin=0, vmax=100)
        for row, column in np.argwhere(percent >= SHOWN_FROM):
            value = percent[row, column]
            color = "white" if value > 55 else "black"
            axis.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=color)
        axis.set_xticks(range(len(classes)), classes, rotation=60, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(classes)), rows or classes)
        axis.set(title=title, xlabel="predicted class")
    axes[0].set_ylabel(ylabel)
    figure.colorbar(image, ax=list(axes), label="share of the row (%)", shrink=0.8)
    return plotting.png(figure)


def attention_figure(shown: Sequence[tuple[Any, ...]], grid: tuple[int, int]) -> bytes:
    """Draws images with the attention weights of each word; returns a PNG.

    Args:
      shown: image [height, width] or [height, width, 3], caption, whether it is right, and its weights [T, h * w].
      grid: h, w.
    """
    captions = [(*caption, "END") for _, caption, _, _ in shown]
    columns = 1 + max(map(len, captions))
    figure = plotting.figure((1.15 * columns + 0.4, 1.45 * len(shown) + 0.5))
    bare: dict[str, Any] = {"frame_on": False, "xticks": (), "yticks": ()}
    axes = figure.subplots(len(shown), columns, squeeze=False, subplot_kw=bare)
    for line, caption, (scene, _, right, every) in zip(axes, captions, shown, strict=True):
        line[0].imshow(scene, cmap="gray_r", vmin=0, vmax=1)
        line[0].set_title("right" if right else "wrong", fontsize=9, color="black" if right else "C3")
        extent = (-0.5, scene.shape[1] - 0.5, scene.shape[0] - 0.5, -0.5)
        for axis, word, weights in zip(line[1:], caption, every, strict=False):
            axis.imshow(scene, cmap="gray_r", vmin=0, vmax=2)
            style: dict[str, Any] = {"cmap": "Reds", "alpha": 0.6, "vmin": 0, "interpolation": "bilinear"}
            axis.imshow(weights.reshape(grid), extent=extent, vmax=weights.max(), **style)
            axis.set_title(word, fontsize=9)
    figure.suptitle("Attention weights for each word (red; each word has its own scale)", fontsize=10)
    return plotting.png(figure)
