"""What a run leaves behind and shows: records, table, findings in words."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.video.config import ALONE, Plan
from experiments.video.measurement import Guesses, Outcome, Shares, shares
from rnn_jax import report


class Row(NamedTuple):
    """Of the table."""

    network: str
    shares: Shares  # [seeds], of the test part


def label(cell: str) -> str:
    """A network in words."""
    return "CNN alone" if cell == ALONE else f"CNN + {cell}"


def records(plan: Plan, outcome: Outcome, true: Guesses, seed: int) -> list[dict[str, Any]]:
    """A flat record a seed."""
    trainer = plan.trainers[outcome.cell]
    right = dataclasses.asdict(shares(outcome.said, true))
    return [
        {
            "run": outcome.cell,
            "seed": seed + index,
            "definition": trainer.model,
            "parameters": trainer.parameters,
            "optimizer": repr(trainer.optimizer),
            "steps": plan.steps,
            "best_epoch": int(outcome.fit.best[index]),
            "validation/wrong": [float(score) for score in outcome.fit.scores[index]],
            **{f"test/{name}": float(values[index]) for name, values in right.items()},
            "seconds": outcome.fit.seconds,
            "diverged": outcome.fit.diverged,
        }
        for index in range(len(outcome.fit.scores))
    ]


def rows(outcomes: Sequence[Outcome], true: Guesses) -> list[Row]:
    """The table."""
    return [Row(label(outcome.cell), shares(outcome.said, true)) for outcome in outcomes]


COLUMNS = [
    report.Column("network", lambda row: row.network, right=False),
    report.Column("frames, %", lambda row: report.percent(row.shares.frames)),
    report.Column("clips, %", lambda row: report.percent(row.shares.clips)),
    report.Column("digit", lambda row: f"{100 * np.median(row.shares.digits):.1f}"),
    report.Column("path", lambda row: f"{100 * np.median(row.shares.paths):.1f}"),
]


def title(plan: Plan) -> str:
    """Of the table."""
    learnt, tested = plan.training.size, plan.test.size
    return f"{plan.source}: {learnt:,} clips an epoch to learn from, {tested:,} of other images to test"


CAPTION = (
    "Percent of the test part right; medians over seeds, their range in brackets. Frames: the direction of the last "
    "move, of 4; clips: digit and path, both; then either alone, of 10 and of 6."
)


def sentences(outcomes: Sequence[Outcome], true: Guesses) -> list[str]:
    """What was found; computed from the measurements."""
    found = []
    table = rows(outcomes, true)
    alone = next((row for row, outcome in zip(table, outcomes, strict=True) if outcome.cell == ALONE), None)
    for row, outcome in zip(table, outcomes, strict=True):
        frames, clips = (100 * float(np.mean(values)) for values in (row.shares.frames, row.shares.clips))
        beside = ""
        if alone is not None and row is not alone:
            gains = [
                frames - 100 * float(np.mean(alone.shares.frames)),
                clips - 100 * float(np.mean(alone.shares.clips)),
            ]
            beside = f", {gains[0]:+.1f} and {gains[1]:+.1f} beside convolutions alone"
        found.append(
            f"{row.network}: {frames:.1f} % of the frames and {clips:.1f} % of the clips are right{beside}. Training "
            f"took {outcome.fit.seconds / 60:.1f} minutes."
        )
    return found + [f"{label(o.cell)}: {told}" for o in outcomes for told in o.fit.diverged]
