"""Records, table and sentences of the captions."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.captioning.config import Plan, Split
from experiments.captioning.measurement import Captions, Test
from experiments.captioning.scenes import KINDS, NUMBERS
from experiments.common import fitting
from experiments.common.fitting import Outcome
from rnn_jax import report

NEAREST = "the nearest scene's sentence"
_NUMBERS = {*NUMBERS, *(f"{number}s" for number in NUMBERS), "sixes", "a", "an"}

Outcomes = Sequence[Outcome[Test]]


class Row(NamedTuple):
    """A row of the table."""

    model: str
    scores: dict[str, np.ndarray]  # on the test set, [seeds]


def scores(split: Split, captions: Sequence[Captions]) -> dict[str, np.ndarray]:
    """Returns shares [seeds] of captions that are exact, exact by kind, and of the right form apart from numbers."""
    each = [_scores(split, one) for one in captions]
    return {name: np.array([score[name] for score in each]) for name in each[0]}


def _scores(split: Split, captions: Captions) -> Mapping[str, float]:
    right = np.array([a == b for a, b in zip(captions, split.draft.sentences, strict=True)])
    kinds = {f"exact/{name}": float(np.mean(right[split.draft.kinds == n])) for n, name in enumerate(KINDS)}
    same_form = [_form(a) == _form(b) for a, b in zip(captions, split.draft.sentences, strict=True)]
    return {"exact": float(np.mean(right)), **kinds, "form": float(np.mean(same_form))}


def _form(caption: Sequence[str]) -> tuple[str, ...]:
    return tuple("_" if word in _NUMBERS else word for word in caption)


def records(plan: Plan, outcome: Outcome[Test]) -> list[dict[str, Any]]:
    """Returns one flat record for each seed."""
    steps = outcome.fit.history.loss.shape[1]
    test = scores(plan.test, outcome.test.captions)
    return fitting.fit_records(outcome, "exact", 1 - outcome.validation, test, steps=steps)


def baseline_row(plan: Plan, captions: Captions) -> dict[str, Any]:
    """Returns the baseline's flat record."""
    return fitting.baseline_record(NEAREST, **{f"test/{k}": v for k, v in _scores(plan.test, captions).items()})


def arrays(outcomes: Outcomes) -> dict[str, np.ndarray]:
    """Returns the training curves and NAME/validation/exact [seeds, epochs]."""
    return fitting.training_arrays(outcomes, "exact", lambda wrong: 1 - wrong)


def rows(plan: Plan, baseline: Captions, outcomes: Outcomes) -> list[Row]:
    """Returns the baseline's row and the networks' rows."""
    named = [(NEAREST, [baseline]), *((o.network.title, o.test.captions) for o in outcomes)]
    return [Row(name, scores(plan.test, captions)) for name, captions in named]


def _median(name: str, row: Row) -> str:
    return f"{100 * np.median(row.scores[name]):.1f}"


COLUMNS = [
    report.Column("captions by", lambda row: row.model, right=False),
    report.Column("exact, %", lambda row: report.percent(row.scores["exact"])),
    *(report.Column(f"{name}, %", functools.partial(_median, f"exact/{name}")) for name in KINDS),
    report.Column("form, %", functools.partial(_median, "form")),
]
CAPTION = (
    "Percent of the test set's captions; medians over seeds, range in brackets. exact: the scene's sentence, word for "
    "word, over all scenes and over those of each kind; form: exact apart from the numbers."
)


def title(plan: Plan) -> str:
    """Returns the table's title."""
    train, test = len(plan.draft.kinds), len(plan.test.draft.kinds)
    return f"{plan.source}: {train:,} training scenes in an epoch, {test:,} test scenes of other images"


def findings(outcomes: Outcomes) -> list[str]:
    """Returns the training time of each network and the seeds that diverged."""
    times = ", ".join(f"{o.network.title} {o.minutes:.1f}" for o in outcomes)
    return [f"Minutes of training for each seed: {times}.", *fitting.diverged(outcomes)]
