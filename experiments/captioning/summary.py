"""Records, table, figures and findings."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.captioning.measurement import Baseline, Outcome
from experiments.captioning.scenes import Data
from experiments.common import figures, fitting, margins
from experiments.common.run_folder import Report, Table
from rnn_jax import plotting, report
from rnn_jax.data.digit_scenes import KINDS


def records(row: Baseline | Outcome) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    fields = {} if isinstance(row, fitting.Baseline) else {"steps": row.fit.history.loss.shape[1]}
    return fitting.fit_records(row, {"exact": 1 - row.validation}, row.test.scores, **fields)


def _share(header: str, name: str) -> report.Column:
    return report.Column(f"{header}, %", lambda row: f"{100 * np.median(row.test.scores[name]):.1f}")


COLUMNS = [
    report.Column("captions by", lambda row: row.title, right=False),
    report.Column("exact, %", lambda row: report.percent(row.test.scores["exact"])),
    *(_share(kind, f"exact/{kind}") for kind in KINDS),
    _share("form", "form"),
    fitting.MINUTES,
]
CAPTION = (
    "Captions of the test set; medians over seeds, range in brackets. exact: the scene's sentence, word for word, of "
    "all scenes and of each kind; form: exact apart from articles and numbers. min: minutes of training for each seed."
)


def summarize(data: Data, baseline: Baseline, outcomes: Sequence[Outcome]) -> Report:
    """Returns findings, table and figures."""
    train, test = len(data.training.kinds), len(data.test.kinds)
    title = f"{data.source}: {train:,} training scenes in an epoch, {test:,} test scenes of other images"
    exact = functools.partial(
        figures.validation_figure,
        [baseline],
        outcomes,
        "exact captions, validation set (%)",
        lambda e: 100 * (1 - e),
        ylim=(0, 101),
    )
    pngs = {"validation.png": ("Exact captions during training", exact)}
    for outcome in outcomes:
        if outcome.network.trainer.model.decoder.attends:
            pngs["attention.png"] = (
                "Attention weights of each word",
                functools.partial(
                    attention_figure, _shown(data, outcome), outcome.network.trainer.model.images.map_shape[:2]
                ),
            )
    columns = [*COLUMNS, margins.column((outcomes, baseline))]
    table = Table(columns, {title: [baseline, *outcomes]}, f"{CAPTION} {margins.NOTE}")
    return Report("Captions of scenes", findings(baseline, outcomes), [table], pngs)


def findings(baseline: Baseline, outcomes: Sequence[Outcome]) -> list[str]:
    """Returns the best network beside the baseline."""
    best = fitting.best_outcome(outcomes)
    exact, form = (100 * float(np.mean(best.test.scores[name])) for name in ("exact", "form"))
    return [
        f"Validation chooses {best.title}: {exact:.1f} % of the test captions are exact, {form:.1f} % have the right "
        f"form; by {baseline.title} {100 * baseline.test.scores['exact'][0]:.1f} % are exact.",
        *fitting.diverged(outcomes),
    ]


def _shown(data: Data, outcome: Outcome) -> list[tuple[Any, ...]]:
    """Returns what `attention_figure` draws of the first test scene of each kind."""
    split, test = data.test, outcome.test
    places = [int(np.flatnonzero(split.kinds == kind)[0]) for kind in np.unique(split.kinds)]
    scenes = [np.asarray(split.examples.whole["scene"][place])[..., 0] for place in places]
    right = [test.captions[place] == split.sentences[place] for place in places]
    return [(s, test.captions[p], r, test.weights[p]) for s, p, r in zip(scenes, places, right, strict=True)]


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
