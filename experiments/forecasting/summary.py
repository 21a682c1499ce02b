"""What a run leaves behind and shows: records, arrays, the table, the findings in words."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.forecasting.config import Data
from experiments.forecasting.measurement import AUTOREGRESSION, Outcome
from experiments.forecasting.rolling import INTERVALS, Scores
from rnn_jax import report

ENSEMBLE = "ensemble"


class Row(NamedTuple):
    """Of the table."""

    model: str
    scores: Scores


def records(data: Data, outcome: Outcome) -> list[dict[str, Any]]:
    """Flat, one a seed and one of all together; errors in the units of the series, means over the origins."""
    shared = {
        "run": outcome.name,
        "source": data.source,
        "column": data.series.name,
        "season": data.season,
        "horizon": data.horizon,
        "window": data.window,
        "transform": data.transform.name,
        "training/points": data.parts.training,
        "validation/points": data.parts.validation - data.parts.training,
        "test/points": data.parts.test - data.parts.validation,
        "filled": int(np.sum(~data.series.observed)),
    }
    of_each = ("best_epoch", "validation/loss")
    details = {key: value for key, value in outcome.details.items() if key not in of_each}
    found = []
    for seed, scores in enumerate(outcome.of_seeds):
        own = {key: outcome.details[key][seed] for key in of_each}
        found.append({**shared, "seed": seed, **details, **own, **_flat(scores)})
    return [*found, {**shared, "seed": ENSEMBLE if outcome.network else None, **details, **_flat(outcome.scores)}]


def _flat(scores: Scores) -> dict[str, float]:
    """Of the first step, the last, and the mean over all."""
    curves = {"mae": scores.mae, "rmse": scores.rmse, "mase": scores.mase}
    for i, interval in enumerate(INTERVALS):
        curves[f"coverage_{interval:.0%}".rstrip("%")] = scores.coverage[i]
        curves[f"width_{interval:.0%}".rstrip("%")] = scores.width[i]
    found = {}
    for name, curve in curves.items():
        for moment, value in (("first_step", curve[0]), ("last_step", curve[-1]), ("mean", np.mean(curve))):
            found[f"test/{name}/{moment}"] = float(value)
    return found


def arrays(data: Data, outcomes: Sequence[Outcome]) -> dict[str, np.ndarray]:
    """The series, every forecast of the test part, and the scores of every step ahead."""
    origins = data.origins("test")
    found = {
        "series/values": data.series.values,
        "series/observed": data.series.observed,
        "origins": origins.places,
        "actual": origins.actual,
        "scored": origins.scored,
    }
    for outcome in outcomes:
        for name, array in outcome.predicted._asdict().items():
            if array is not None:
                found[f"{outcome.name}/{name}"] = array
        for name, array in outcome.scores._asdict().items():
            found[f"{outcome.name}/test/{name}"] = array
        if outcome.validation is not None:
            found[f"{outcome.name}/validation/loss"] = outcome.validation
    return found


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    """Every model; of a network its seeds' means, and the seeds together."""
    found = []
    for outcome in outcomes:
        if outcome.network:
            means = Scores(*(np.mean(each, axis=0) for each in zip(*outcome.of_seeds, strict=True)))
            found.append(Row(outcome.name, means))
        found.append(Row(f"{outcome.name}, ensemble" if outcome.network else outcome.name, outcome.scores))
    return found


def columns(data: Data) -> list[report.Column]:
    """Of the table."""
    last = data.horizon
    return [
        report.Column("model", lambda row: row.model, right=False),
        report.Column("MAE, 1", lambda row: f"{row.scores.mae[0]:.4g}"),
        report.Column("RMSE, 1", lambda row: f"{row.scores.rmse[0]:.4g}"),
        report.Column(f"MAE, {last}", lambda row: f"{row.scores.mae[-1]:.4g}"),
        report.Column(f"RMSE, {last}", lambda row: f"{row.scores.rmse[-1]:.4g}"),
        report.Column("MASE", lambda row: f"{np.mean(row.scores.mase):.3f}"),
        report.Column(f"in {INTERVALS[0]:.0%}", lambda row: _percent(np.mean(row.scores.coverage[0]))),
        report.Column(f"in {INTERVALS[1]:.0%}", lambda row: _percent(np.mean(row.scores.coverage[1]))),
        report.Column(f"width {INTERVALS[-1]:.0%}", lambda row: _number(np.mean(row.scores.width[-1]))),
    ]


def _percent(share: Any) -> str:
    return "" if np.isnan(share) else f"{share:.0%}"


def _number(value: Any) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"


def title(data: Data) -> str:
    """Of the table."""
    return f"{data.series.name} of {data.source}: 1 to {data.horizon} steps ahead"


def caption(data: Data) -> str:
    """Of the table."""
    filled = int(np.sum(~data.series.observed))
    gaps = f", {filled} of them filled and not scored" if filled else ""
    training, validation, test = np.diff([0, *data.parts])
    return (
        f"Errors of the first step and of step {data.horizon}, in the units of the series; MASE, shares inside the "
        f"intervals and the width are means over the steps. {training} points to learn from, {validation} to choose "
        f"by, {test} to test on{gaps}. Forecast is {data.transform.name}; the autoregression's order is "
        f"{data.autoregression.order}. A network's first row is the mean of its seeds."
    )


def sentences(data: Data, outcomes: Sequence[Outcome]) -> list[str]:
    """What was found; computed from the measurements."""
    opponents = [o for o in outcomes if not o.network]
    linear = next(o for o in opponents if o.name == AUTOREGRESSION)
    found = []
    for o in outcomes:
        if o.network:
            told = [
                f"{_against(o.scores.mae[0], linear.scores.mae[0])} at the first step",
                f"{_against(np.mean(o.scores.mae), np.mean(linear.scores.mae))} over {data.horizon}",
            ]
            steps = int(np.sum(o.scores.mae < linear.scores.mae))
            found.append(
                f"{o.name}, ensemble: its MAE is {' and '.join(told)} than the autoregression's, and lower at {steps} "
                f"of {data.horizon} steps."
            )
    for opponent in opponents[:2]:
        beaten = [o.name for o in outcomes if o.network and np.all(o.scores.mae < opponent.scores.mae)]
        lost = [o.name for o in outcomes if o.network and o.name not in beaten]
        who = f"by {_listed(beaten)}" if beaten else "by no network"
        missing = f"; not by {_listed(lost)}" if beaten and lost else ""
        verb = f"{opponent.name[0].upper()}{opponent.name[1:]}"
        found.append(f"{verb} is beaten at every step {who}{missing}.")
    return found + [f"{o.name} diverged: {sentence}." for o in outcomes for sentence in o.details.get("diverged", [])]


def _listed(names: Sequence[str]) -> str:
    return "; ".join(names)


def _against(value: float, other: float) -> str:
    return f"{abs(1 - value / other):.0%} {'lower' if value < other else 'higher'}"
