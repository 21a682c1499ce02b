"""What a run leaves behind and shows: records, table, findings in words."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.speech.config import Plan
from experiments.speech.errors import label_error_rate, wrong
from experiments.speech.measurement import Outcome
from rnn_jax import report


class Row(NamedTuple):
    """Of the table; shares of the test part."""

    name: str
    recordings: int
    errors: np.ndarray  # [seeds], of labels
    wrong: np.ndarray  # [seeds], of recordings
    opponent_errors: float
    opponent_wrong: float


def records(outcome: Outcome, seed: int) -> list[dict[str, Any]]:
    """A flat record a seed."""
    problem, fit = outcome.problem, outcome.fit
    row = row_of(outcome)
    shared = {
        "question": problem.question,
        "network": problem.name,
        "definition": problem.trainer.model,
        "parameters": problem.trainer.parameters,
        "optimizer": repr(problem.trainer.optimizer),
        "epochs": problem.epochs,
        **{f"{part}/recordings": len(each.frames) for part, each in problem.parts.items()},
        "opponent/label_error_rate": row.opponent_errors,
        "opponent/wrong": row.opponent_wrong,
        "seconds": fit.seconds,
        "diverged": fit.diverged,
    }
    return [
        {
            "seed": seed + index,
            **shared,
            "best_epoch": int(fit.best[index]),
            "validation/label_error_rate": float(np.nanmin(fit.scores[index])),
            "test/label_error_rate": float(row.errors[index]),
            "test/wrong": float(row.wrong[index]),
        }
        for index in range(problem.seeds)
    ]


def row_of(outcome: Outcome) -> Row:
    """An outcome's row of the table."""
    wanted = outcome.problem.parts["test"].digits
    return Row(
        outcome.problem.name,
        len(wanted),
        np.array([label_error_rate(read, wanted) for read in outcome.read]),
        np.array([wrong(read, wanted) for read in outcome.read]),
        label_error_rate(outcome.opponent, wanted),
        wrong(outcome.opponent, wanted),
    )


COLUMNS = [
    report.Column("network", lambda row: row.name, right=False),
    report.Column("tested", lambda row: f"{row.recordings:,}"),
    report.Column("digits wrong, %", lambda row: report.percent(row.errors)),
    report.Column("recordings, %", lambda row: report.percent(row.wrong)),
    report.Column("SVM: digits", lambda row: f"{100 * row.opponent_errors:.1f}"),
    report.Column("recordings", lambda row: f"{100 * row.opponent_wrong:.1f}"),
]


SECTIONS = {
    "digits": "One digit, of speakers that were heard in training",
    "speakers": "One digit, of a speaker never heard",
    "joined": "Three to seven digits in a recording",
}


def sections(outcomes: Sequence[Outcome]) -> dict[str, list[Row]]:
    """The tables, by their titles."""
    found: dict[str, list[Row]] = {}
    for outcome in outcomes:
        found.setdefault(SECTIONS[outcome.problem.question], []).append(row_of(outcome))
    return found


def source(plan: Plan) -> str:
    """What was heard."""
    return f"{plan.count:,} recordings of {len(plan.speakers)} speakers: {plan.source}."


CAPTION = (
    "On the test part: medians over seeds, their range in brackets. Digits wrong: put in, left out or replaced, of "
    "those said; recordings: not read exactly. SVM: a support vector machine on recordings brought to 16 frames, "
    "joined ones cut where it is quiet."
)


def sentences(outcomes: Sequence[Outcome]) -> list[str]:
    """What was found; computed from the measurements."""
    found = []
    for question, what in SECTIONS.items():
        rows = [row_of(outcome) for outcome in outcomes if outcome.problem.question == question]
        if not rows:
            continue
        network = float(np.mean([np.median(row.wrong) for row in rows]))
        opponent = float(np.mean([row.opponent_wrong for row in rows]))
        better = "more" if network < opponent else "not more"
        mean = f", the mean of {len(rows)}" if len(rows) > 1 else ""
        found.append(
            f"{what}{mean}: the network reads {100 * (1 - network):.1f} % of the recordings rightly, {better} than the "
            f"support vector machine, {100 * (1 - opponent):.1f} %."
        )
    return found + [f"{o.problem.name}: {told}" for o in outcomes for told in o.fit.diverged]
