"""What a run leaves behind and shows: the records, the table, the findings in words."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from experiments.teaching import ours
from experiments.teaching.classifier import CLASSES, EXAMPLES
from experiments.teaching.measurement import LEVELS, Difference, Outcome
from experiments.teaching.program import Form, Lesson
from rnn_jax import report

Outcomes = Mapping[str, Outcome]  # by form, ours first

AS_WRITTEN = {
    "Keras, as written": "Keras's own Adam has an epsilon of 1e-7, and that where v is not yet corrected",
    "PyTorch, as written": "PyTorch trains two biases where there is one, and their sum moves twice as fast",
}


def refusals(lessons: Sequence[Lesson], forms: Sequence[Form]) -> list[str]:
    """Which forms are left out of the programs, and why."""
    by_reason: dict[str, dict[str, None]] = {}
    for form in forms:
        for lesson in lessons:
            if (why := form.refusal(lesson)) is not None:
                by_reason.setdefault(why, {})[form.name] = None
    return [f"{'; '.join(names)}: left out: {why}" for why, names in by_reason.items()]


def record(lesson: Lesson, seed: int, name: str, outcomes: Outcomes) -> dict[str, Any]:
    """A flat record of a form's training, `results.json`'s."""
    outcome, trainer = outcomes[name], lesson.trainer
    found = {
        "run": lesson.program.name,
        "form": name,
        "seed": seed,
        "definition": trainer.model,
        "optimizer": repr(trainer.optimizer),
        "dtype": str(lesson.dense[0].dtype),
        "parameters": trainer.parameters,
        "examples": lesson.program.sizes[0],
        "epochs": len(lesson.batches),
        "steps": lesson.work,
        "loss/first_step": float(outcome.losses[0]),
        "loss/last_epoch": last_epoch(lesson, outcome),
        **outcome.findings,
        "seconds_per_epoch": outcome.seconds_per_epoch,
    }
    if name != ours.NAME:
        difference = Difference.between(outcome.losses, outcomes[ours.NAME].losses)
        found |= {
            "difference/absolute": float(np.max(difference.absolute)),
            "difference/relative": float(np.max(difference.relative)),
            "difference/relative_at_step": int(np.argmax(difference.relative)) + 1,
            **{f"difference/first_step_above_{level:g}": difference.first_above(level) for level in LEVELS},
        }
    return found


def last_epoch(lesson: Lesson, outcome: Outcome) -> float:
    """The mean of the last epoch's losses, each example counted once."""
    sizes = [len(places) for places in lesson.batches[-1]]
    return float(np.average(outcome.losses[-len(sizes) :], weights=sizes))


def arrays(found: Mapping[str, Outcomes]) -> dict[str, np.ndarray]:
    """Every curve, by program and form."""
    return {f"{program}/{name}": o.losses for program, outcomes in found.items() for name, o in outcomes.items()}


@dataclasses.dataclass(frozen=True)
class Row:
    """A form of the table."""

    name: str
    loss: float
    difference: Difference | None
    findings: Mapping[str, Any]
    seconds: float

    def share(self, key: str) -> str:
        return f"{100 * self.findings[key]:.1f}" if key in self.findings else ""

    def number(self, of: str) -> str:
        return "" if self.difference is None else f"{np.max(getattr(self.difference, of)):.1e}"

    def first(self, level: float) -> str:
        if self.difference is None:
            return ""
        step = self.difference.first_above(level)
        return "never" if step is None else f"{step:,}"


COLUMNS = [
    report.Column("form", lambda row: row.name, right=False),
    report.Column("loss", lambda row: f"{row.loss:.4f}"),
    report.Column("differs", lambda row: row.number("absolute")),
    report.Column("relative", lambda row: row.number("relative")),
    report.Column("1e-6 at", lambda row: row.first(1e-6)),
    report.Column("1e-5 at", lambda row: row.first(1e-5)),
    report.Column("right %", lambda row: row.share("training/accuracy")),
    report.Column("fresh %", lambda row: row.share("fresh/accuracy")),
    report.Column("ms/epoch", lambda row: f"{1000 * row.seconds:,.1f}"),
]

CAPTION = (
    f"Loss: nats, mean of the last epoch. Differs: the greatest difference of a batch's loss from {ours.NAME}'s, in "
    "nats and as a share of it, and the steps at which the share is first above 1e-6 and 1e-5. Right: of the training "
    "data; fresh: of as many sequences drawn alike. Milliseconds: the median epoch, of batches read one by one on a "
    "machine as busy as it was; of networks this small, alone, they mean nothing."
)


def rows(lesson: Lesson, outcomes: Outcomes) -> list[Row]:
    """Of a program."""
    reference = outcomes[ours.NAME].losses
    return [
        Row(
            name,
            last_epoch(lesson, outcome),
            None if name == ours.NAME else Difference.between(outcome.losses, reference),
            outcome.findings,
            outcome.seconds_per_epoch,
        )
        for name, outcome in outcomes.items()
    ]


def title(lesson: Lesson) -> str:
    """Of a program's part of the table."""
    size, steps, features, classes = lesson.program.sizes
    return (
        f"{lesson.program.title}: {size:,} sequences of {steps} x {features}, {classes} classes, "
        f"{len(lesson.batches)} epochs, {lesson.work:,} steps"
    )


def sentences(lesson: Lesson, outcomes: Outcomes) -> list[str]:
    """What was found of a program; computed from the measurements."""
    others = [row for row in rows(lesson, outcomes) if row.difference is not None]
    found = [
        f"{lesson.program.title}: {row.name} is at most {row.number('absolute')} nats, {row.number('relative')} of the "
        f"loss, from {ours.NAME}{': ' + AS_WRITTEN[row.name] if row.name in AS_WRITTEN else ''}."
        for row in others
    ]
    if lesson.program.name == "generator":
        return [*found, *_written(outcomes)]
    return [*found, _coin(outcomes)]


def _coin(outcomes: Outcomes) -> str:
    """What the accuracies say of labels that were drawn by chance."""
    right, fresh = (
        [100 * outcome.findings[f"{data}/accuracy"] for outcome in outcomes.values()] for data in ("training", "fresh")
    )
    chance = 1 / CLASSES
    error = math.sqrt(chance * (1 - chance) / EXAMPLES)
    return (
        f"The classifier's labels are random: {min(right):.1f} to {max(right):.1f} % right on the training data is "
        f"what a network remembers of it. On fresh data nobody does better than a coin, {100 * chance:.0f} % with a "
        f"standard error of {100 * error:.1f}; {min(fresh):.1f} to {max(fresh):.1f} % were right."
    )


def _written(outcomes: Outcomes) -> Sequence[str]:
    """Who has generated what."""
    by_text: dict[str, list[str]] = {}
    for name, outcome in outcomes.items():
        by_text.setdefault(outcome.findings["generated"], []).append(name)
    return [f"Written by {'; '.join(names)}: {text!r}." for text, names in by_text.items()]


def show(console: Console, sections: Mapping[str, Sequence[Row]], words: Sequence[str]) -> None:
    """Prints the table and the findings."""
    console.print(report.TextTables(COLUMNS, sections, CAPTION), highlight=False)
    for sentence in words:
        console.print(f"- {sentence}", markup=False, highlight=False)
