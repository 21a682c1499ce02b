"""What a run leaves behind and shows: records, table, findings in words."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.captioning.config import Part, Plan
from experiments.captioning.measurement import Captions, Outcome
from experiments.captioning.scenes import KINDS, NUMBERS
from rnn_jax import report

NEAREST = "the nearest scene's sentence"
_NUMBERS = {*NUMBERS, *(f"{number}s" for number in NUMBERS), "sixes", "a", "an"}


class Row(NamedTuple):
    """Of the table: of the test part, [seeds]."""

    model: str
    exact: np.ndarray
    by_kind: dict[str, np.ndarray]
    same_form: np.ndarray


def scores(part: Part, captions: Captions) -> dict[str, float]:
    """Shares of a part's captions: exact, exact of each kind, and of the right form whatever the numbers in it."""
    right = np.array([a == b for a, b in zip(captions, part.draft.sentences, strict=True)])
    kinds = {f"exact/{name}": float(np.mean(right[part.draft.kinds == n])) for n, name in enumerate(KINDS)}
    alike = [_form(a) == _form(b) for a, b in zip(captions, part.draft.sentences, strict=True)]
    return {"exact": float(np.mean(right)), **kinds, "form": float(np.mean(alike))}


def _form(caption: Sequence[str]) -> tuple[str, ...]:
    return tuple("_" if word in _NUMBERS else word for word in caption)


def records(plan: Plan, outcome: Outcome, seed: int) -> list[dict[str, Any]]:
    """A flat record a seed."""
    trainer = plan.trainers[outcome.network]
    return [
        {
            "run": outcome.network,
            "seed": seed + index,
            "definition": trainer.model,
            "parameters": trainer.parameters,
            "optimizer": repr(trainer.optimizer),
            "steps": plan.steps,
            "best_epoch": int(outcome.fit.best[index]),
            "validation/exact": [1 - float(score) for score in outcome.fit.scores[index]],
            **{f"test/{name}": score for name, score in scores(plan.test, captions).items()},
            "seconds": outcome.fit.seconds,
            "diverged": outcome.fit.diverged,
        }
        for index, captions in enumerate(outcome.captions)
    ]


def opponent_record(plan: Plan, captions: Captions) -> dict[str, Any]:
    """The flat record of the opponent."""
    return {"run": NEAREST, "seed": 0, **{f"test/{k}": score for k, score in scores(plan.test, captions).items()}}


def rows(plan: Plan, opponent: Captions, outcomes: Sequence[Outcome]) -> list[Row]:
    """The table."""
    found = [(NEAREST, [opponent]), *((label(o.network), o.captions) for o in outcomes)]
    table = []
    for model, of_seeds in found:
        each = [scores(plan.test, captions) for captions in of_seeds]
        by_kind = {name: np.array([score[f"exact/{name}"] for score in each]) for name in KINDS}
        table.append(Row(model, _of(each, "exact"), by_kind, _of(each, "form")))
    return table


def _of(each: Sequence[Mapping[str, float]], name: str) -> np.ndarray:
    return np.array([score[name] for score in each])


def label(network: str) -> str:
    """A network in words."""
    return "no attention" if network == "none" else network


def _of_kind(name: str, row: Row) -> str:
    return f"{100 * np.median(row.by_kind[name]):.1f}"


COLUMNS = [
    report.Column("captions by", lambda row: row.model, right=False),
    report.Column("exact, %", lambda row: report.percent(row.exact)),
    *(report.Column(name, functools.partial(_of_kind, name)) for name in KINDS),
    report.Column("right form", lambda row: f"{100 * np.median(row.same_form):.1f}"),
]


def title(plan: Plan) -> str:
    """Of the table."""
    learnt, tested = len(plan.draft.kinds), len(plan.test.draft.kinds)
    return f"{plan.source}: {learnt:,} scenes an epoch to learn from, {tested:,} of other images to test"


CAPTION = (
    "Percent of the test part's captions; medians over seeds, their range in brackets. Exact: the scene's sentence, "
    "word for word; then the same of scenes of each kind; right form: exact but for the numbers in it."
)


def sentences(plan: Plan, opponent: Captions, outcomes: Sequence[Outcome]) -> list[str]:
    """What was found; computed from the measurements."""
    found = []
    table = rows(plan, opponent, outcomes)
    best = table[0].exact[0]
    for row, outcome in zip(table[1:], outcomes, strict=True):
        mean = float(np.mean(row.exact))
        numbers = (row.same_form - row.exact).sum() / max((1 - row.exact).sum(), 1e-9)
        found.append(
            f"{row.model}: {100 * mean:.1f} % of the captions are exact, {'more' if mean > best else 'not more'} than "
            f"by the nearest scene, {100 * best:.1f} %. Of those that are not, {100 * numbers:.0f} % have the right "
            f"form and a wrong number. Training took {outcome.fit.seconds / 60:.1f} minutes."
        )
    return found + [f"{label(o.network)}: {told}" for o in outcomes for told in o.fit.diverged]
