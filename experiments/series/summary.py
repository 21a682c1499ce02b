"""Baselines, records, table, figures and findings."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.baselines import series_features
from experiments.baselines.nearest_series import NearestSeries
from experiments.common import classification, figures, fitting, splits
from experiments.common.classification import Baseline, Outcome, Row, best_baseline
from experiments.common.run_folder import Report
from experiments.series.config import Config
from experiments.series.sets import Data
from rnn_jax import plotting

SHOWN = 8  # classes, and channels, of the figure of series


def baselines(config: Config, data: Data) -> list[Baseline]:
    """Returns the most frequent class, the linear model and the nearest series; validation chooses their settings."""
    from sklearn.dummy import DummyClassifier

    series = {name: split.labelled.values for name, split in data.splits.items()}
    features = {name: series_features.features(values) for name, values in series.items()}
    warping = {f"band={band}": NearestSeries(float(band), config.neighbours, config.seed) for band in config.bands}
    return [
        best_baseline("most frequent class", {"": DummyClassifier()}, features, data),
        best_baseline("logistic regression", series_features.candidates(), features, data),
        best_baseline("nearest series, DTW", warping, series, data),
    ]


def records(config: Config, data: Data, baselines: Sequence[Baseline], row: Row) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    counts = {name: split.labelled.values for name, split in data.splits.items()}
    sizes = splits.sizes(counts, data.repeated, "series", "repeated")
    return classification.records(baselines, row, base_seed=config.seed, **sizes)


def summarize(config: Config, data: Data, rows: Sequence[Baseline], outcomes: Sequence[Outcome]) -> Report:
    """Returns findings, table and figures."""
    used = min(config.neighbours, len(data.splits["training"].order))
    note = (
        f"{data.note} Logistic regression reads sixteen steps of each channel, its mean, deviation and roughness, and "
        f"the length; DTW (dynamic time warping) compares with {used:,} training series."
    )
    best = fitting.best_outcome(outcomes)
    labels = data.splits["test"].labels
    counts = {f"{best.title}, test set, all seeds": figures.confusion(labels, best.test.predicted, len(data.classes))}
    confusion = functools.partial(figures.confusion_figure, counts, data.classes)
    pngs: plotting.Drawings = {
        "series.png": ("A test series of each class", functools.partial(_series_figure, data, best)),
        "confusion.png": (f"Classes predicted by {best.title}", confusion),
        **classification.accuracy_figures(rows, outcomes, "series"),
    }
    table = classification.table(data, rows, outcomes, data.source, "series", note)
    findings = [classification.finding(rows, outcomes), *fitting.diverged(outcomes)]
    return Report("The class of a series", findings, [table], pngs)


def _series_figure(data: Data, best: Outcome) -> bytes:
    """Draws the first test series of each class, standardised, with the class that the first seed predicts."""
    split = data.splits["test"]
    places = np.unique(split.labels, return_index=True)[1][:SHOWN]
    figure = plotting.figure((9, 1.5 * len(places) + 0.8))
    axes = figure.subplots(len(places), 1, squeeze=False, sharex=True)[:, 0]
    for axis, place in zip(axes, places, strict=True):
        axis.plot(split.labelled.values[place][:, :SHOWN], lw=1, label=data.channels[:SHOWN])
        true, predicted = split.labels[place], best.test.predicted[0, place]
        style = {"fontsize": 9, "color": "black" if true == predicted else "C3"}
        axis.set_title(f"{data.classes[true]}; predicted {data.classes[predicted]}", **style)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    figure.supylabel("value (standard deviations)", fontsize=10)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=SHOWN, frameon=False, fontsize=8, title="channel")
    return plotting.png(figure)
