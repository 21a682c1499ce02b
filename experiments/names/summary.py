"""Record of the generator; tables, figures and findings."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.common import classification, figures, fitting
from experiments.common.run_folder import Report, Table
from experiments.common.texts import Texts
from experiments.names.generator import COUNT, LONGEST, Outcome
from rnn_jax import plotting, report
from rnn_jax.data import best_possible

SHOWN = 5  # names of each language


def generator_records(judge: classification.Outcome, outcome: Outcome, **fields: Any) -> list[dict[str, Any]]:
    """Returns the flat record of the generator."""
    test = outcome.test
    tested = {
        "nats_per_character": test.nats,
        "nats_per_character_other_language": test.other_nats,
        "recognised": np.array([_mean_recall(judge)]),
    }
    fields |= {
        "generated": COUNT,
        "generated/new": int(test.new.sum()),
        "generated/different": test.different,
        "generated/recognised": float(np.mean(test.recognised)),
        "judge": judge.title,
    }
    return fitting.fit_records(outcome, {"nats_per_character": outcome.validation}, tested, **fields)


def _mean_recall(judge: classification.Outcome) -> float:
    """Returns the share of test names whose language is predicted, mean over languages and seeds."""
    from sklearn.metrics import balanced_accuracy_score

    return float(np.mean([balanced_accuracy_score(judge.test.labels, each) for each in judge.test.predicted]))


def summarize(
    texts: Texts,
    baselines: Sequence[classification.Baseline],
    outcomes: Sequence[classification.Outcome],
    judge: classification.Outcome,
    generator: Outcome,
) -> Report:
    """Returns findings, tables and figures."""
    labelled = texts.splits["test"].labelled
    ceiling = f" At most {100 * best_possible(labelled):.1f} % are possible: names of several languages are ambiguous."
    tables = [
        classification.table(texts, baselines, outcomes, texts.source, "texts", f"{texts.note}{ceiling}"),
        _generated_table(texts, judge, generator),
    ]
    findings = [
        classification.finding(baselines, outcomes),
        *_generator_findings(judge, generator),
        *fitting.diverged([*outcomes, generator]),
    ]
    counts = figures.confusion(labelled.labels, judge.test.predicted, len(texts.classes))
    in_test = np.bincount(labelled.labels, minlength=len(texts.classes))
    rows = [f"{name} ({count})" for name, count in zip(texts.classes, in_test, strict=True)]
    panels = {f"{judge.title}, test set, all seeds": counts}
    confusion = functools.partial(
        figures.confusion_figure, panels, texts.classes, rows, "language (number of test names)"
    )
    pngs: plotting.Drawings = {
        **classification.accuracy_figures(baselines, outcomes, "texts"),
        "confusion.png": (f"Languages predicted by {judge.title}", confusion),
    }
    return Report("The language of a name", findings, tables, pngs)


def _generated_table(texts: Texts, judge: classification.Outcome, generator: Outcome) -> Table:
    test = generator.test
    requested = {language: test.languages == number for number, language in enumerate(texts.classes)}

    def names(language: str) -> str:
        return ", ".join(test.names[i] for i in np.flatnonzero(requested[language] & test.new)[:SHOWN])

    columns = [
        report.Column("language", str, right=False),
        report.Column("new, %", lambda language: f"{100 * np.mean(test.new[requested[language]]):.0f}"),
        report.Column(
            "recognised, %", lambda language: f"{100 * np.mean(test.recognised[:, requested[language]]):.0f}"
        ),
        report.Column(f"the first {SHOWN} new names", names, right=False),
    ]
    caption = f"new: not in the training set; recognised: {judge.title} predicts the requested language."
    return Table(columns, {f"{COUNT:,} generated names": texts.classes}, caption)


def _generator_findings(judge: classification.Outcome, generator: Outcome) -> list[str]:
    """Returns what knowing the language is worth, and how many names are new and recognised."""
    test = generator.test
    ended = sum(len(name) < LONGEST for name in test.names)
    return [
        f"Generator: {test.nats[0]:.3f} nats per character of the test set if the language is given, "
        f"{test.other_nats[0]:.3f} if another one is.",
        f"Of {COUNT:,} generated names {test.new.sum():,} are not in the training set, {test.different:,} "
        f"differ from each other, and {ended:,} end before {LONGEST} characters.",
        f"{judge.title} predicts the requested language for {100 * test.recognised.mean():.1f} % of them; of the test "
        f"set, the correct one for {100 * _mean_recall(judge):.1f} % (mean over languages).",
    ]
