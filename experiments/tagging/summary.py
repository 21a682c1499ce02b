"""What a run leaves behind and shows: the records, the arrays, the table, the findings in words."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common import run_files
from experiments.tagging.config import Plan
from experiments.tagging.corpus import CHARACTERS, PARTS
from experiments.tagging.measurement import Baseline, Outcome, Scores
from rnn_jax import report


class Row(NamedTuple):
    """Of the table; accuracies [seeds], shares of the words."""

    tagger: str
    parameters: str
    validation: np.ndarray
    test: Scores
    minutes: str


def baseline_records(plan: Plan, baselines: Mapping[str, Baseline]) -> list[dict[str, Any]]:
    """The flat records of the taggers that count."""
    return [
        {
            "run": name,
            "seed": 0,
            "longest_ending": baseline.longest,
            "validation/accuracy": baseline.validation,
            **_test(plan, baseline.test, 0),
            **_sizes(plan),
        }
        for name, baseline in baselines.items()
    ]


def records(plan: Plan, outcome: Outcome) -> list[dict[str, Any]]:
    """The flat records of a network, one a seed."""
    fit, trainer = outcome.fit, outcome.network.trainer
    return [
        {
            "run": outcome.network.name,
            "seed": seed,
            "description": outcome.network.kind.description,
            "definition": trainer.model,
            "optimizer": repr(trainer.optimizer),
            "clip": repr(trainer.clip),
            "parameters": outcome.network.trainer.parameters,
            "epochs": fit.scores.shape[1],
            "best_epoch": int(fit.best[seed]),
            "validation/accuracy": 1 - float(fit.scores[seed, fit.best[seed] - 1]),
            **_test(plan, outcome.test, seed),
            **_sizes(plan),
            "seconds": fit.seconds / len(fit.scores),
            "diverged": next((told for told in fit.diverged if told.startswith(f"seed {seed} ")), None),
        }
        for seed in range(len(fit.scores))
    ]


def _test(plan: Plan, test: Scores, seed: int) -> dict[str, float]:
    named = {"accuracy": test.all, "unseen_accuracy": test.unseen, "ambiguous_accuracy": test.ambiguous}
    found = {f"test/{name}": float(values[seed]) for name, values in named.items()}
    return found | {f"test/f1/{tag}": float(f1) for tag, f1 in zip(plan.corpus.tags, test.f1[seed], strict=True)}


def _sizes(plan: Plan) -> dict[str, int]:
    corpus = plan.corpus
    found = {"vocabulary": len(corpus.words), "characters": len(corpus.characters), "tags": len(corpus.tags)}
    for part in PARTS:
        found |= {f"{part}/sentences": len(corpus.sentences[part]), f"{part}/words": len(corpus.parts[part].words)}
    return found | {f"{part}/removed": count for part, count in corpus.removed.items()}


def arrays(outcomes: Sequence[Outcome]) -> dict[str, np.ndarray]:
    """The curves as `experiments.common.run_files` has them; NAME/validation/accuracy [seeds, epochs]."""
    found: dict[str, np.ndarray] = {}
    for outcome in outcomes:
        found |= run_files.training_arrays(outcome.network.name, outcome.fit.history)
        found[f"{outcome.network.name}/validation/accuracy"] = 1 - outcome.fit.scores
    return found


def _percent(values: np.ndarray) -> str:
    mean = f"{100 * np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ± {100 * np.std(values, ddof=1):.2f}"


COLUMNS = [
    report.Column("tagger", lambda row: row.tagger, right=False),
    report.Column("parameters", lambda row: row.parameters),
    report.Column("validation", lambda row: _percent(row.validation)),
    report.Column("test", lambda row: _percent(row.test.all)),
    report.Column("unseen", lambda row: _percent(row.test.unseen)),
    report.Column("ambiguous", lambda row: _percent(row.test.ambiguous)),
    report.Column("min", lambda row: row.minutes),
]


def rows(baselines: Mapping[str, Baseline], outcomes: Sequence[Outcome]) -> list[Row]:
    """The taggers that count, then the networks."""
    found = [Row(name, "", np.array([each.validation]), each.test, "") for name, each in baselines.items()]
    for outcome in outcomes:
        fit = outcome.fit
        validation = 1 - fit.scores[np.arange(len(fit.scores)), fit.best - 1]
        minutes = f"{fit.seconds / 60 / len(fit.scores):.1f}"
        found.append(
            Row(
                outcome.network.kind.description,
                f"{outcome.network.trainer.parameters:,}",
                validation,
                outcome.test,
                minutes,
            )
        )
    return found


def title(plan: Plan) -> str:
    """Of the table."""
    corpus = plan.corpus
    return f"{len(corpus.tags)} tags of {corpus.source}: {len(corpus.sentences['training']):,} sentences to learn from"


def caption(plan: Plan, seeds: int) -> str:
    """Of the table."""
    corpus = plan.corpus
    sizes = _sizes(plan)
    return (
        f"Words tagged right in percent{f', mean and standard deviation of {seeds} seeds' if seeds > 1 else ''}: all "
        f"of the test part's {sizes['test/words']:,}, those unseen in training, those seen with several tags. Minutes "
        f"a seed. {len(corpus.words):,} rows in the words' table; {CHARACTERS} characters of a word are read. Left "
        f"out, as they come in a later part: {corpus.removed['training']} sentences of training, "
        f"{corpus.removed['validation']} of validation."
    )


def sentences(baselines: Mapping[str, Baseline], outcomes: Sequence[Outcome]) -> list[str]:
    """What was found; computed from the measurements."""
    *_, (name, baseline) = baselines.items()
    by_name = {outcome.network.name: outcome for outcome in outcomes}
    best = max(outcomes, key=lambda outcome: float(np.mean(1 - outcome.fit.scores.min(axis=1))))
    right, reference = np.mean(best.test.all), float(baseline.test.all[0])
    removed = (right - reference) / (1 - reference) if reference < 1 else 0.0
    found = [
        f"Best on validation: {best.network.kind.description}, {100 * right:.2f} % of the test part. It makes "
        f"{100 * abs(removed):.0f} % {'fewer' if removed >= 0 else 'more'} errors than: {name} "
        f"({100 * reference:.2f} %)."
    ]
    for one, other, what in (
        ("characters", "words", "Characters beside words"),
        ("characters", "forward", "Both directions in place of one"),
    ):
        if one in by_name and other in by_name:
            gains = [
                100 * float(np.mean(getattr(by_name[one].test, of)) - np.mean(getattr(by_name[other].test, of)))
                for of in ("all", "unseen", "ambiguous")
            ]
            found.append(
                f"{what}: {gains[0]:+.2f} points over all words, {gains[1]:+.2f} over unseen ones, {gains[2]:+.2f} "
                "over ambiguous ones."
            )
    for outcome in outcomes:
        found += [f"{outcome.network.name}: {told}." for told in outcome.fit.diverged]
    return found
