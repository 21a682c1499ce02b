"""The figures: what is wrong over the training, some clips with what is said of each frame, and which path is which."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from experiments.video import clips, summary
from experiments.video.config import Plan
from experiments.video.measurement import Guesses, Outcome
from rnn_jax import plotting

ARROWS = ("\u2191", "\u2192", "\u2193", "\u2190")  # of clips.DIRECTIONS


def validation_figure(plan: Plan, outcomes: Sequence[Outcome]) -> bytes:
    """Errors of the validation part over the training, a line a seed. Returns a PNG."""
    figure = plotting.figure((8, 4.6))
    axis = figure.subplots()
    for color, outcome in enumerate(outcomes):
        for seed, wrong in enumerate(outcome.fit.scores):
            name: dict[str, Any] = {} if seed else {"label": summary.label(outcome.cell)}
            axis.plot(np.arange(len(wrong)) + 1, 100 * wrong, color=f"C{color}", marker="o", ms=3.5, lw=1.4, **name)
    axis.set(
        xlabel=f"epochs of {plan.training.size:,} clips",
        ylabel="wrong of the validation part,\nmean of frames and clips (%)",
        ylim=(0, None),
    )
    axis.grid(alpha=0.3)
    axis.legend(frameon=False)
    return plotting.png(figure)


def clips_figure(plan: Plan, outcomes: Sequence[Outcome], true: Guesses) -> bytes:
    """A clip of each path, and above each frame the direction that every network's first seed says. Returns a PNG."""
    places = [int(np.flatnonzero(true.paths == path)[0]) for path in np.unique(true.paths)]
    whole = plan.test.take(np.array(places)).whole
    shown = np.asarray(jax.vmap(clips.clip)(whole["key"], whole["image"]).frames)[..., 0]
    figure = plotting.figure((13.5, 1.35 * len(places) + 0.6))
    axes = np.atleast_2d(figure.subplots(len(places), clips.FRAMES))
    for line, place, frames in zip(axes, places, shown, strict=True):
        for step, (axis, frame) in enumerate(zip(line, frames, strict=True)):
            axis.imshow(frame, cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            if not step:
                named = clips.PATHS[true.paths[place]].replace(", ", ",\n")
                axis.set_ylabel(f"{true.digits[place]}\n{named}", fontsize=8)
                continue
            for number, outcome in enumerate(outcomes):
                said = int(outcome.said.directions[0, place, step - 1])
                right = said == true.directions[place, step - 1]
                where = (number + 1) / (len(outcomes) + 1)
                color = "black" if right else "C3"
                axis.text(where, 1.03, ARROWS[said], color=color, ha="center", transform=axis.transAxes, fontsize=11)
    named = ", ".join(summary.label(outcome.cell) for outcome in outcomes)
    figure.suptitle(f"Direction of each move as said by {named}, from left to right; red where wrong", fontsize=10)
    return plotting.png(figure)


def paths_figure(outcomes: Sequence[Outcome], true: Guesses) -> bytes:
    """Which path is taken for which, all seeds together. Returns a PNG."""
    count = len(clips.PATHS)
    figure = plotting.figure((4.6 * len(outcomes) + 2.2, 4.8))
    axes = np.atleast_1d(figure.subplots(1, len(outcomes), sharey=True))
    for axis, outcome in zip(axes, outcomes, strict=True):
        table = np.zeros((count, count))
        np.add.at(table, (np.broadcast_to(true.paths, outcome.said.paths.shape), outcome.said.paths), 1)
        percent = 100 * table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        image = axis.imshow(percent, cmap="Blues", vmin=0, vmax=100)
        for row, column in np.argwhere(percent >= 0.5):
            color = "white" if percent[row, column] > 60 else "black"
            axis.text(column, row, f"{percent[row, column]:.0f}", ha="center", va="center", fontsize=8, color=color)
        axis.set_xticks(range(count), clips.PATHS, rotation=40, ha="right")
        axis.set_yticks(range(count), clips.PATHS)
        axis.set(title=summary.label(outcome.cell), xlabel="path said")
    axes[0].set_ylabel("true path")
    figure.colorbar(image, ax=list(axes), label="of the true path's clips (%)", shrink=0.8)
    return plotting.png(figure)
