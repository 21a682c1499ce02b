"""Records, table, figures and findings."""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from experiments.common import clips, figures, fitting, margins
from experiments.common.clips import Data
from experiments.common.run_folder import Report, Table
from experiments.video.config import ALONE
from experiments.video.measurement import Outcome
from rnn_jax import plotting, report
from rnn_jax.data import moving_images

ARROWS = ("\u2191", "\u2192", "\u2193", "\u2190")  # of moving_images.DIRECTIONS


def records(outcome: Outcome) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network."""
    steps = outcome.fit.history.loss.shape[1]
    return fitting.fit_records(outcome, {"wrong": outcome.validation}, outcome.test.scores, steps=steps)


COLUMNS = [
    report.Column("network", lambda row: row.title, right=False),
    fitting.PARAMETERS,
    report.Column("frames, %", lambda row: report.percent(row.test.scores["frames"])),
    report.Column("clips, %", lambda row: report.percent(row.test.scores["clips"])),
    report.Column("digit, %", lambda row: f"{100 * np.median(row.test.scores['digits']):.1f}"),
    report.Column("path, %", lambda row: f"{100 * np.median(row.test.scores['paths']):.1f}"),
    fitting.MINUTES,
]
CAPTION = (
    "Correct answers on the test set; medians over seeds, range in brackets. frames: direction of the last move, of 4; "
    "clips: digit and path, both correct; digit, of 10, and path, of 6, separately. min: minutes of training for each "
    "seed."
)


def summarize(data: Data, outcomes: Sequence[Outcome]) -> Report:
    """Returns findings, table and figures."""
    train, test, true = data.training.size, data.test.size, clips.classes(data.test)
    title = f"{data.source}: {train:,} training clips in an epoch, {test:,} test clips of other images"
    paths = {o.title: figures.confusion(true.paths, o.test.predicted.paths, len(moving_images.PATHS)) for o in outcomes}
    wrong = functools.partial(
        figures.validation_figure,
        [],
        outcomes,
        "wrong, validation set (%),\nmean of frames and clips",
        lambda e: 100 * e,
        ylim=(0, None),
    )
    pngs = {
        "clips.png": ("Predicted direction of each move", functools.partial(_clips_figure, data, outcomes)),
        "paths.png": (
            "Confusions of paths, test set, all seeds",
            functools.partial(figures.confusion_figure, paths, moving_images.PATHS, ylabel="path"),
        ),
        "validation.png": ("Errors during training", wrong),
    }
    columns = [*COLUMNS, *(margins.column((outcomes, alone)) for alone in _alone(outcomes))]
    table = Table(columns, {title: outcomes}, f"{CAPTION} Points are of clips. {margins.NOTE}")
    return Report("Video", findings(outcomes), [table], pngs)


def _alone(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Returns the convolutions alone, if they are among the networks."""
    return [outcome for outcome in outcomes if outcome.network.name == ALONE]


def findings(outcomes: Sequence[Outcome]) -> list[str]:
    """Returns the best network beside convolutions alone."""
    best = fitting.best_outcome(outcomes)
    frames, whole = (100 * np.mean(best.test.scores[name]) for name in ("frames", "clips"))
    beside = [f"; clips: {margins.words(best, alone)}" for alone in _alone(outcomes) if alone is not best]
    correct = f"{frames:.1f} % of the frames and {whole:.1f} % of the clips are correct{''.join(beside)}"
    return [f"Validation chooses {best.title}: {correct}.", *fitting.diverged(outcomes)]


def _clips_figure(data: Data, outcomes: Sequence[Outcome]) -> bytes:
    """Draws the first test clip of each path, with the directions that each network's first seed predicts."""
    true = clips.classes(data.test)
    places = np.unique(true.paths, return_index=True)[1]
    whole = data.test.take(places).whole
    frames = np.asarray(jax.vmap(moving_images.clip)(whole["key"], whole["image"]).frames)[..., 0]
    figure = plotting.figure((13.5, 1.35 * len(places) + 0.6))
    axes = figure.subplots(len(places), moving_images.FRAMES, squeeze=False, subplot_kw={"xticks": (), "yticks": ()})
    for line, place, clip in zip(axes, places, frames, strict=True):
        path = moving_images.PATHS[true.paths[place]].replace(", ", ",\n")
        line[0].set_ylabel(f"{true.digits[place]}\n{path}", fontsize=8)
        for axis, frame in zip(line, clip, strict=True):
            axis.imshow(frame, cmap="gray_r", vmin=0, vmax=1)
        for move, axis in enumerate(line[1:]):
            for number, outcome in enumerate(outcomes, 1):
                direction = outcome.test.predicted.directions[0, place, move]
                style = {"color": "black" if direction == true.directions[place, move] else "C3", "fontsize": 11}
                x = number / (len(outcomes) + 1)
                axis.text(x, 1.03, ARROWS[direction], ha="center", transform=axis.transAxes, **style)
    titles = ", ".join(outcome.title for outcome in outcomes)
    figure.suptitle(f"Predicted direction of each move, from left to right: {titles}; red: wrong", fontsize=10)
    return plotting.png(figure)
