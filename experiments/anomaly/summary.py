"""Results as two tables and a few sentences."""

from collections.abc import Sequence
from typing import Any

from experiments.anomaly.config import Config, Plan
from experiments.anomaly.injection import KINDS
from experiments.anomaly.measurement import Results
from experiments.common import fitting
from experiments.common.forecasters import rows
from experiments.common.run_folder import Table
from rnn_jax import report

COLUMNS = [
    report.Column("detector", lambda row: row.name, right=False),
    report.Column("AUC, points", lambda row: f"{row.scores.point_auc:.3f}"),
    report.Column("AUC, events", lambda row: f"{row.scores.all.event_auc:.3f}"),
    report.Column("detected", lambda row: f"{row.scores.all.detected:.0%}"),
    report.Column("delay, points", lambda row: f"{row.scores.all.delay:.1f}"),
    report.Column("false/1000", lambda row: f"{row.scores.false_alarms:.1f}"),
]


def tables(config: Config, plan: Plan, results: Results) -> list[Table]:
    """Returns the table of all anomalies and the table of each kind."""

    def kind_column(kind: str) -> report.Column:
        header = kind.replace("level ", "").replace("missing", "no")  # the table fits 80 columns
        cell = "{0.event_auc:.2f} {0.detected:>4.0%}".format
        return report.Column(header, lambda row: cell(row.scores.kinds[kind]))

    data = plan.data
    caption = (
        f"{len(plan.test.events)} anomalies of {plan.length} points (a spike: 1) in {config.copies} copies of "
        f"{data.ends.test - data.ends.validation} points; spikes and level shifts of {plan.scale:.4g}; the "
        f"{plan.test.grace} points after each do not count. {config.false_alarms:g} in 1,000 normal validation points "
        "exceed the threshold; detected events, their median delay, and false alarms in 1,000 points follow from it. "
        f"Transform: {data.transform.name}; order of the autoregression: {data.autoregression.order}."
        f"{data.layout()} A network's first row is the mean over its seeds.\n"
    )
    title, by_kind = f"Anomalies in {data.series.name} of {data.source}", "AUC by event, and events detected, by kind"
    kind_columns = [COLUMNS[0], *map(kind_column, KINDS)]
    return [Table(COLUMNS, {title: rows(results)}, caption), Table(kind_columns, {by_kind: rows(results)}, "")]


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
