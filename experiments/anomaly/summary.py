"""What a run leaves behind and shows: records, the two tables, the findings in words."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.anomaly.config import Config, Plan
from experiments.anomaly.evaluation import OfKind, Scores
from experiments.anomaly.injection import KINDS
from experiments.anomaly.measurement import Outcome
from rnn_jax import report

TOGETHER = "together"


class Row(NamedTuple):
    """Of a table."""

    detector: str
    scores: Scores


def records(plan: Plan, outcome: Outcome) -> list[dict[str, Any]]:
    """Flat, one a seed and one of all together."""
    data, copies = plan.data, plan.copies["test"]
    shared = {
        "run": outcome.name,
        "source": data.source,
        "column": data.series.name,
        "season": data.season,
        "window": data.window,
        "transform": data.transform.name,
        "length": plan.length,
        "scale": plan.scale,
        "grace": plan.grace,
        "width": plan.width,
        "training/points": data.parts.training,
        "validation/points": data.parts.validation - data.parts.training,
        "test/points": data.parts.test - data.parts.validation,
        "test/events": len(copies.events),
    }
    of_each = ("best_epoch", "validation/loss")
    details = {key: value for key, value in outcome.details.items() if key not in of_each}
    found = []
    for seed, scores in enumerate(outcome.of_seeds):
        own = {key: outcome.details[key][seed] for key in of_each}
        found.append({**shared, "seed": seed, **details, **own, **_flat(scores)})
    return [*found, {**shared, "seed": TOGETHER if outcome.network else None, **details, **_flat(outcome.scores)}]


def _flat(scores: Scores) -> dict[str, float]:
    found = {"threshold": scores.threshold, "test/point_auc": scores.point_auc}
    found["test/false_alarms_per_1000"] = scores.false_alarms
    for name, each in {"all": scores.all, **scores.kinds}.items():
        found |= {f"test/{name}/{field}": value for field, value in each._asdict().items()}
    return found


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """Every detector; of a network its seeds' means, and the seeds together."""
    found = []
    for outcome in outcomes:
        if outcome.network:
            found.append(Row(outcome.name, _mean(outcome.of_seeds)))
        found.append(Row(f"{outcome.name}, together" if outcome.network else outcome.name, outcome.scores))
    return found


def _mean(scores: Sequence[Scores]) -> Scores:
    kinds = {kind: _mean_of([s.kinds[kind] for s in scores]) for kind in scores[0].kinds}
    plain = [float(np.mean([s[i] for s in scores])) for i in range(3)]
    return Scores(plain[0], plain[1], plain[2], _mean_of([s.all for s in scores]), kinds)


def _mean_of(each: Sequence[OfKind]) -> OfKind:
    return OfKind(*(float(np.mean(values)) for values in zip(*each, strict=True)))


COLUMNS = [
    report.Column("detector", lambda row: row.detector, right=False),
    report.Column("AUC, points", lambda row: f"{row.scores.point_auc:.3f}"),
    report.Column("AUC, events", lambda row: f"{row.scores.all.event_auc:.3f}"),
    report.Column("detected", lambda row: f"{row.scores.all.detected:.0%}"),
    report.Column("delay", lambda row: f"{row.scores.all.delay:.1f}"),
    report.Column("false/1000", lambda row: f"{row.scores.false_alarms:.1f}"),
]


def of_kinds(found: Sequence[Row]) -> list[report.Column]:
    """Columns of the second table: AUC by event and share detected, a kind each."""

    def column(kind: str) -> report.Column:
        def text(row: Row) -> str:
            each = row.scores.kinds[kind]
            return f"{each.event_auc:.2f} {each.detected:>4.0%}"

        return report.Column(kind, text)

    present = [kind for kind in KINDS if kind in found[0].scores.kinds]
    return [report.Column("detector", lambda row: row.detector, right=False), *map(column, present)]


def title(plan: Plan) -> str:
    """Of the first table."""
    return f"Anomalies in {plan.data.series.name} of {plan.data.source}"


def caption(plan: Plan, config: Config) -> str:
    """Of the first table."""
    data = plan.data
    return (
        f"{len(plan.copies['test'].events)} anomalies of {plan.length} points (a spike: 1) in {config.copies} copies "
        f"of {data.parts.test - data.parts.validation} points; spikes and shifts by {plan.scale:.4g}; the {plan.grace} "
        f"points after each are left out of account. The threshold "
        f"leaves {config.false_alarms:g} of 1,000 normal points of the validation part above it; detected, delay in "
        f"points (median of those detected) and false alarms are at it. Scored is {data.transform.name}; the "
        f"autoregression's order is {data.autoregression.order}. A network's first row is the mean of its seeds."
    )


OF_KINDS = "AUC by event, and share detected"


def sentences(outcomes: Sequence[Outcome]) -> list[str]:
    """What was found; computed from the measurements."""
    opponents = [o for o in outcomes if not o.network]
    best = max(opponents, key=lambda o: o.scores.all.event_auc)
    sharpest = max(opponents, key=lambda o: o.scores.point_auc)
    found = [
        f"The best opponent is {best.name} by event, AUC {best.scores.all.event_auc:.3f}, and {sharpest.name} by "
        f"point, {sharpest.scores.point_auc:.3f}."
    ]
    for o in outcomes:
        if o.network:
            events = o.scores.all.event_auc - best.scores.all.event_auc
            points = o.scores.point_auc - sharpest.scores.point_auc
            over = [
                kind
                for kind, each in o.scores.kinds.items()
                if each.event_auc > max(other.scores.kinds[kind].event_auc for other in opponents)
            ]
            found.append(
                f"{o.name}, its seeds together: {events:+.3f} by event and {points:+.3f} by point against these; above "
                f"every opponent on {', '.join(over) or 'no kind'}."
            )
    return found + [f"{o.name} diverged: {sentence}." for o in outcomes for sentence in o.details.get("diverged", [])]
