"""Results as two tables, a few sentences and figures."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.anomaly.config import Config, Injected
from experiments.anomaly.injection import KINDS
from experiments.anomaly.measurement import Results
from experiments.common import fitting
from experiments.common.evaluations import rows, series_table
from experiments.common.figures import grouped_bars
from experiments.common.panel import Panel
from experiments.common.run_folder import Table
from experiments.common.series import AUTOREGRESSION
from rnn_jax import plotting, report

COLUMNS = [
    report.Column("detector", lambda row: row.name, right=False),
    report.Column("AUC, points", lambda row: f"{row.scores.point_auc:.3f}"),
    report.Column("AUC, events", lambda row: f"{row.scores.all.event_auc:.3f}"),
    report.Column("detected", lambda row: f"{row.scores.all.detected:.0%}"),
    report.Column("delay, points", lambda row: f"{row.scores.all.delay:.1f}"),
    report.Column("false/1000", lambda row: f"{row.scores.false_alarms:.1f}"),
]


def tables(
    config: Config,
    panel: Panel,
    injected: Sequence[Injected],
    results: Results,
    outcomes: Sequence[fitting.Outcome[Any]],
) -> list[Table]:
    """Returns the table of all anomalies, that of each kind, and of several series that of each."""

    def kind_column(kind: str) -> report.Column:
        header = kind.replace("level ", "").replace("missing", "no")  # the table fits 80 columns
        cell = "{0.event_auc:.2f} {0.detected:>4.0%}".format
        return report.Column(header, lambda row: cell(row.scores.kinds[kind]))

    data, first = panel.first, injected[0]
    points = sum(each.test.stop - each.test.start for each in injected)
    sizes = f"{first.scale:.4g}" if len(injected) == 1 else f"{config.size:g} standard deviations of each series"
    caption = (
        f"{sum(len(each.test.events) for each in injected)} anomalies of {first.length} points (a spike: 1) in "
        f"{config.copies} copies of {points} points; spikes and level shifts of {sizes}; the {first.test.grace} points "
        f"after each do not count. {config.false_alarms:g} in 1,000 normal validation points exceed the threshold; "
        "detected events, their median delay, and false alarms in 1,000 points follow from it. "
        f"Transform: {data.transform.name}; order of the autoregression: {panel.orders}.{data.layout()}{panel.means} A "
        "network's first row is the mean over its seeds.\n"
    )
    title, by_kind = f"Anomalies in {data.series.name} of {data.source}", "AUC by event, and events detected, by kind"
    kind_columns = [COLUMNS[0], *map(kind_column, KINDS)]
    shown = [Table(COLUMNS, {title: rows(results)}, caption), Table(kind_columns, {by_kind: rows(results)}, "")]
    if panel.group:
        best = fitting.best_outcome(outcomes).network.name
        title = "AUC by event, by series"
        shown.append(series_table(panel, results, best, title, lambda scores: scores.all.event_auc))
    return shown


def findings(results: Results, outcomes: Sequence[fitting.Outcome[Any]]) -> list[str]:
    """Returns the best baselines, and how each network's ensemble compares with them."""
    baselines = {name: result.scores for name, result in results.items() if not result.is_network}
    by_event = max(baselines, key=lambda name: baselines[name].all.event_auc)
    by_point = max(baselines, key=lambda name: baselines[name].point_auc)
    event_auc, point_auc = baselines[by_event].all.event_auc, baselines[by_point].point_auc
    changes = [
        f"{name} {result.scores.all.event_auc - event_auc:+.3f} and {result.scores.point_auc - point_auc:+.3f}"
        for name, result in results.items()
        if result.is_network
    ]
    return [
        f"Best baseline by event: {by_event}, AUC {event_auc:.3f}; by point: {by_point}, {point_auc:.3f}.",
        f"AUC of each network, pooled over its seeds, against these, by event and by point: {'; '.join(changes)}.",
        *fitting.diverged(outcomes),
    ]


def figures(first: Injected, results: Results, outcomes: Sequence[fitting.Outcome[Any]]) -> plotting.Drawings:
    """Returns the caption and drawing of each figure, by file name."""
    best = fitting.best_outcome(outcomes).network.name
    return {
        "examples.png": (
            "An anomaly of each kind (dotted: without it), alarms in red",
            functools.partial(_examples, first, results, best),
        ),
        "kinds.png": ("Every detector by kind of anomaly", functools.partial(_kinds, results)),
    }


def _examples(first: Injected, results: Results, network: str) -> bytes:
    """Draws the series around the first anomaly of each kind, and its scores by a network and the autoregression."""
    figure = plotting.figure((13.2, 9.2))
    for kind, block in zip(KINDS, figure.subfigures(2, 3, squeeze=False).ravel(), strict=True):
        copy, _, span = next(event for event in first.test.events if event.kind == kind)
        margin = 3 * first.length  # drawn before and after the anomaly
        points = np.arange(max(first.test.start, span.start - margin), min(first.test.stop, span.stop + margin))
        axes = block.subplots(3, 1, sharex=True, height_ratios=(2, 1, 1))
        axes[0].plot(points, first.test.values[points, -1], color="grey", lw=0.8, ls=":")
        axes[0].plot(points, first.test.values[points, copy], color="black", lw=1.1)
        axes[0].set(title=kind, ylabel=first.data.series.name)
        for axis, name, color in zip(axes[1:], (network, AUTOREGRESSION), ("C0", "C1"), strict=True):
            scores, threshold = results[name].outputs[0][1][points, copy], results[name].by_series[0][0].threshold
            axis.plot(points, scores, color=color, lw=1)
            axis.axhline(threshold, color="black", lw=0.8, ls="--")
            axis.plot(points[scores > threshold], scores[scores > threshold], "o", ms=3, color="C3")
            axis.set_ylabel(f"{name},\n-log p (nats)", fontsize=8)
            axis.set_yscale("symlog", linthresh=max(1.0, threshold))
            axis.margins(y=0.15)
        for axis in axes:
            axis.axvspan(span.start - 0.5, span.stop - 0.5, color="C3", alpha=0.12, lw=0)
            axis.grid(alpha=0.3)
        first.data.label_time(axes[-1], points, 3)
    return plotting.png(figure)


def _kinds(results: Results) -> bytes:
    """Draws AUC by event and events detected, a group of bars for each kind."""
    figure = plotting.figure((12, 6.6))
    axes = figure.subplots(2, 1, sharex=True)
    greys = iter(np.linspace(0.8, 0.35, len(results)))
    colors = [f"C{i}" if result.is_network else str(next(greys)) for i, result in enumerate(results.values())]
    groups = {name: [r.scores.all, *(r.scores.kinds[kind] for kind in KINDS)] for name, r in results.items()}
    for axis, field, unit in zip(axes, ("event_auc", "detected"), (1, 100), strict=True):
        bars = {name: [unit * getattr(scores, field) for scores in each] for name, each in groups.items()}
        grouped_bars(axis, ["all", *KINDS], bars, colors)
    axes[0].axhline(0.5, color="black", lw=1, ls="--")
    axes[0].set(ylabel="ROC AUC by event (0.5 is chance)", ylim=(0, 1.02))
    alarms = [result.scores.false_alarms for result in results.values()]
    title = f"{min(alarms):.1f} to {max(alarms):.1f} false alarms in 1,000 normal points"
    axes[1].set(ylabel="events detected (%)", title=title)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return plotting.png(figure)
