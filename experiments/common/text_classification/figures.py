"""Figures as PNG: validation accuracy over epochs, test accuracy with the seeds' spread, confusion by row."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from experiments.common.text_classification.measurement import Outcome, accuracy
from experiments.common.text_classification.opponents import Opponent
from rnn_jax import plotting

STYLES = ("--", ":", "-.")  # of the opponents


def validation_figure(outcomes: Sequence[Outcome], opponents: Sequence[Opponent]) -> bytes:
    """Accuracy on the validation part (%) over epochs: the mean of a network's seeds, its band their range."""
    figure = plotting.figure((9, 5))
    axis = figure.subplots()
    for outcome in outcomes:
        right = 100 * (1 - outcome.fit.scores)
        epochs = np.arange(1, right.shape[1] + 1)
        (line,) = axis.plot(epochs, right.mean(axis=0), marker="o", ms=3, label=outcome.network.name)
        axis.fill_between(epochs, right.min(axis=0), right.max(axis=0), color=line.get_color(), alpha=0.15, lw=0)
    for opponent, style in zip(opponents, STYLES, strict=True):
        axis.axhline(100 * opponent.validation, color="black", ls=style, lw=1.2, label=opponent.name)
    axis.set(xlabel="epoch", ylabel="accuracy on the validation part (%)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.grid(alpha=0.3)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right center", frameon=False)
    return plotting.png(figure)


def test_figure(outcomes: Sequence[Outcome], opponents: Sequence[Opponent], labels: np.ndarray) -> bytes:
    """Accuracy on the test part (%): a dot a seed and a bar at their mean; of an opponent one dot.

    Args:
      outcomes: of networks that have ended.
      opponents: to be compared with.
      labels: of the test part.
    """
    rows = [(o.network.name, 100 * accuracy(o.guesses, labels)) for o in outcomes if o.guesses is not None]
    rows += [(o.name, 100 * accuracy(o.guesses[None], labels)) for o in opponents]
    figure = plotting.figure((8, 0.9 + 0.42 * len(rows)))
    axis = figure.subplots()
    for place, (_, values) in enumerate(rows):
        color = "C0" if place < len(rows) - len(opponents) else "black"
        axis.plot(values, np.full(len(values), place), "o", color=color, alpha=0.6)
        axis.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=color, lw=2)
    # What a coin or the most frequent class gets shows on the left; one test text more or less is this wide:
    error = 100 * np.sqrt(0.25 / len(labels))
    axis.set(
        xlabel=f"accuracy on the {len(labels):,} texts of the test part (%); standard error of one at most {error:.1f}",
        yticks=range(len(rows)),
        yticklabels=[name for name, _ in rows],
    )
    axis.invert_yaxis()
    axis.grid(alpha=0.3, axis="x")
    return plotting.png(figure)


def confusion_figure(guesses: np.ndarray, labels: np.ndarray, classes: Sequence[str], title: str) -> bytes:
    """Of each class (a row) the share of its texts that is given each class (a column), in percent.

    Args:
      guesses: [seeds, N], counted together.
      labels: [N].
      classes: their names.
      title: of the figure.
    """
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, (np.broadcast_to(labels, guesses.shape), guesses), 1)
    there = counts.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(counts, there, out=np.zeros_like(counts), where=there > 0)
    size = 2.4 + 0.42 * len(classes)
    figure = plotting.figure((size + 1.2, size))
    axis = figure.subplots()
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    for row, column in np.argwhere(shares >= 0.5):
        share = shares[row, column]
        axis.text(column, row, f"{share:.0f}", ha="center", va="center", fontsize=7, color="wk"[int(share < 55)])
    in_test = (there[:, 0] / len(guesses)).astype(int)
    axis.set(
        xticks=range(len(classes)),
        yticks=range(len(classes)),
        yticklabels=[f"{name} ({count})" for name, count in zip(classes, in_test, strict=True)],
        xlabel="class given",
        ylabel="class (texts of it in the test part)",
        title=title,
    )
    axis.set_xticklabels(classes, rotation=60, ha="right", rotation_mode="anchor")
    figure.colorbar(image, ax=axis, label="share of the row (%)", shrink=0.8)
    return plotting.png(figure)


def curves(outcomes: Sequence[Outcome]) -> Mapping[str, np.ndarray]:
    """What the first figure shows, as arrays: NAME/validation/accuracy [seeds, epochs]."""
    return {f"{o.network.name}/validation/accuracy": 1 - o.fit.scores for o in outcomes}
