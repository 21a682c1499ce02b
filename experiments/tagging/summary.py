"""Records, table, figures and findings."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.common import figures, fitting, splits
from experiments.common.numbers import mean_sd, seeds_note
from experiments.common.run_folder import Report, Table
from experiments.tagging.corpus import CHARACTERS, Corpus
from experiments.tagging.measurement import Baseline, Outcome
from rnn_jax import plotting, report

COMPARED = {"Characters": ("characters", "words"), "The words after a word": ("characters", "forward")}
SCORES = ("accuracy", "unseen_accuracy", "ambiguous_accuracy")


def records(corpus: Corpus, row: Baseline | Outcome) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    sizes = {"vocabulary": len(corpus.words), "characters": len(corpus.characters), "tags": len(corpus.tags)}
    sizes |= {f"{name}/words": len(split.words) for name, split in corpus.splits.items()}
    sizes |= splits.sizes(corpus.sentences, corpus.removed, "sentences")
    return fitting.fit_records(row, {"accuracy": 1 - row.validation}, row.test, **sizes)


COLUMNS = [
    report.Column("tagger", lambda row: row.title, right=False),
    fitting.PARAMETERS,
    report.Column("validation, %", lambda row: mean_sd(100 * (1 - row.validation))),
    report.Column("test, %", lambda row: mean_sd(100 * row.test["accuracy"])),
    report.Column("unseen, %", lambda row: mean_sd(100 * row.test["unseen_accuracy"])),
    report.Column("ambiguous, %", lambda row: mean_sd(100 * row.test["ambiguous_accuracy"])),
    fitting.MINUTES,
]


def summarize(corpus: Corpus, baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> Report:
    """Returns findings, table and figures."""
    title = f"{corpus.source}: {len(corpus.tags)} tags, {len(corpus.sentences['training']):,} training sentences"
    caption = (
        f"Words with the correct tag{seeds_note(len(outcomes[0].validation))}: of the validation set; of all "
        f"{len(corpus.splits['test'].words):,} words of the test set; of those not in the training set; of those with "
        f"several tags there. min: minutes of training for each seed. {len(corpus.words):,} words have an embedding; "
        f"{CHARACTERS} characters of a word are read. {splits.removed_note(corpus.removed, 'sentences')}"
    )
    accuracy = functools.partial(
        figures.validation_figure, baselines, outcomes, "accuracy, validation set (%)", lambda e: 100 * (1 - e)
    )
    tags = functools.partial(_tags_figure, corpus, [baselines[-1], *outcomes])
    pngs = {"accuracy.png": ("Validation accuracy during training", accuracy), "tags.png": ("F1 of each tag", tags)}
    table = Table(COLUMNS, {title: [*baselines, *outcomes]}, caption)
    return Report("A tag for every word", findings(baselines, outcomes), [table], pngs)


def findings(baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> list[str]:
    """Returns the best network beside the best baseline, and what each source of information contributes."""
    best, baseline = fitting.best_outcome(outcomes), baselines[-1]
    accuracy, reference = (float(np.mean(row.test["accuracy"])) for row in (best, baseline))
    fewer = (accuracy - reference) / (1 - reference) if reference < 1 else 0.0
    sentences = [
        f"Validation chooses {best.title}: {100 * accuracy:.2f} % of the test set, {100 * abs(fewer):.0f} % "
        f"{'fewer' if fewer >= 0 else 'more'} errors than {baseline.title} ({100 * reference:.2f} %)."
    ]
    tests = {outcome.network.name: outcome.test for outcome in outcomes}
    for information, (more, less) in COMPARED.items():
        if {more, less} <= tests.keys():
            everywhere, unseen, ambiguous = (100 * np.mean(tests[more][s] - tests[less][s]) for s in SCORES)
            sentences.append(
                f"{information}: {everywhere:+.2f} points over all words, {unseen:+.2f} over unseen ones, "
                f"{ambiguous:+.2f} over ambiguous ones."
            )
    return sentences + fitting.diverged(outcomes)


def _tags_figure(corpus: Corpus, rows: Sequence[Baseline | Outcome]) -> bytes:
    """Draws F1 of every tag on the test set, means over seeds, the most frequent tag first."""
    counts = {tag: np.sum(corpus.splits["test"].gold == index) for index, tag in enumerate(corpus.tags)}
    tags = [tag for tag in sorted(counts, key=lambda tag: -counts[tag]) if counts[tag]]
    figure = plotting.figure((10, 4.8))
    axis = figure.subplots()
    bars = {row.title: [100 * float(np.mean(row.test[f"f1/{tag}"])) for tag in tags] for row in rows}
    figures.grouped_bars(axis, [f"{tag}\n{counts[tag]:,}" for tag in tags], bars, ["0.6", "C0", "C1", "C2"])
    axis.tick_params("x", rotation=45, labelsize=8)
    axis.set(ylabel="F1, test set (%)", xlabel="tag, and number of its words in the test set", ylim=(0, 100))
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return plotting.png(figure)
