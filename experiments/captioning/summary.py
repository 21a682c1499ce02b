"""Records, table, figures and findings."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.captioning.measurement import Baseline, Outcome
from experiments.common import figures, fitting, margins
from experiments.common.run_folder import Report, Table
from experiments.common.scenes import Data
from rnn_jax import report
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
    rows, label = ([baseline], outcomes), "exact captions, validation set (%)"
    exact = functools.partial(figures.validation_figure, *rows, label, lambda e: 100 * (1 - e), ylim=(0, 101))
    pngs = {"validation.png": ("Exact captions during training", exact)}
    for outcome in outcomes:
        model = outcome.network.trainer.model
        if model.decoder.attends:
            drawing = functools.partial(figures.attention_figure, _shown(data, outcome), model.images.map_shape[:2])
            pngs["attention.png"] = ("Attention weights of each word", drawing)
    columns = [*COLUMNS, margins.column((outcomes, baseline))]
    table = Table(columns, {title: [baseline, *outcomes]}, f"{CAPTION} {margins.NOTE}")
    return Report("Captions of scenes", findings(baseline, outcomes), [table], pngs)


def findings(baseline: Baseline, outcomes: Sequence[Outcome]) -> list[str]:
    """Returns the best network beside the baseline."""
    best = fitting.best_outcome(outcomes)
    exact, form = (100 * float(np.mean(best.test.scores[name])) for name in ("exact", "form"))
    return [
        f"Validation chooses {best.title}: {exact:.1f} % of the test captions are exact, {form:.1f} % have the right "
        f"form; exact: {margins.words(best, baseline)} ({100 * baseline.test.scores['exact'][0]:.1f} %).",
        *fitting.diverged(outcomes),
    ]


def _shown(data: Data, outcome: Outcome) -> list[tuple[Any, ...]]:
    """Returns what `attention_figure` draws of the first test scene of each kind."""
    split, test = data.test, outcome.test
    places = [int(np.flatnonzero(split.kinds == kind)[0]) for kind in np.unique(split.kinds)]
    scenes = [np.asarray(split.examples.whole["scene"][place])[..., 0] for place in places]
    right = [test.captions[place] == split.sentences[place] for place in places]
    return [(s, test.captions[p], r, test.weights[p]) for s, p, r in zip(scenes, places, right, strict=True)]
