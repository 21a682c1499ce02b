"""Results as a table, a sentence and a figure."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.common import detection, fitting
from experiments.common.run_folder import Table
from experiments.table_anomaly.config import Config, Data
from experiments.table_anomaly.measurement import Row, Test, margin
from rnn_jax import plotting, report

METRICS = {"auc": "AUC", "average_precision": "av. precision", "detected": "detected", "false_alarms": "false/1000"}


def table(config: Config, data: Data, rows: Sequence[Row]) -> Table:
    """Returns the table of all detectors, means over seeds."""
    columns = [report.Column("detector", lambda row: row.title, right=False)] + [
        report.Column(title, functools.partial(lambda key, row: f"{np.mean(row.test.metrics[key]):.3f}", key))
        for key, title in METRICS.items()
    ]
    caption = (
        f"{config.false_alarms:g} in 1,000 normal validation rows exceed the threshold; detected anomalies and false "
        "alarms in 1,000 normal test rows follow from it. Means over seeds.\n"
    )
    return Table(columns, {f"Rows of {data.source}": list(rows)}, caption)


def margins(config: Config, data: Data, outcomes: Sequence[fitting.Outcome[Test]], reference: Row) -> Table:
    """Returns the table of each network's AUC less that of the best baseline."""
    block = detection.block_length(len(data.test), config.window)
    columns = [
        report.Column("detector", lambda row: row.title, right=False),
        report.Column("difference of AUC", lambda row: detection.margin_text(margin(row, reference))),
    ]
    caption = (
        f"In brackets: 95 % interval over seeds and blocks of {block} test rows (bootstrap), of each comparison alone; "
        f"if it holds 0, it is a tie. It has no bounds with fewer than {detection.LEAST_BLOCKS} blocks.\n"
    )
    return Table(columns, {f"AUC beside {reference.title}": list(outcomes)}, caption)


def findings(outcomes: Sequence[fitting.Outcome[Test]], reference: Row) -> list[str]:
    """Returns the best baseline, and how each network compares with it."""
    compared = [f"{each.title} {detection.margin_text(margin(each, reference))}" for each in outcomes]
    return [
        f"Best baseline on the test set: {reference.title}, AUC {reference.test.metrics['auc'][0]:.3f}; networks "
        f"against it: {'; '.join(compared)}.",
        *fitting.diverged(outcomes),
    ]


def bars(rows: Sequence[Row]) -> bytes:
    """Draws AUC and average precision of every detector, with the range over seeds."""
    figure = plotting.figure((8, 3.2))
    axes = figure.subplots(1, 2, sharey=True)
    for axis, key in zip(axes, ("auc", "average_precision"), strict=True):
        metrics = [row.test.metrics[key] for row in rows]
        ranges: Any = [[np.mean(each) - np.min(each), np.max(each) - np.mean(each)] for each in metrics]
        means = [float(np.mean(each)) for each in metrics]
        axis.barh([row.title for row in rows], means, xerr=np.transpose(ranges), color="C0")
        axis.set(xlabel=METRICS[key], xlim=(0, 1))
    return plotting.png(figure)
