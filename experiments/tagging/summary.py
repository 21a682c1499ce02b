"""Records, table, figures and findings."""

import collections
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.common import figures, fitting, margins, splits
from experiments.common.numbers import mean_sd, seeds_note
from experiments.common.run_folder import Report, Table
from experiments.tagging.corpus import Corpus
from experiments.tagging.scoring import Baseline, Outcome, Row, Scoring
from rnn_jax import plotting, report
from rnn_jax.data.tag_corpus import CHARACTERS

COMPARED = {
    "Characters": ("characters", "words"),
    "The words after a word": ("characters", "forward"),
    "The CRF": ("crf", "characters"),
}
COLUMNS = [
    report.Column("tagger", lambda row: row.title, right=False),
    fitting.PARAMETERS,
    report.Column("validation, %", lambda row: mean_sd(100 * (1 - row.validation))),
]


def records(corpus: Corpus, scoring: Scoring, baselines: Sequence[Baseline], row: Row) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    sizes: dict[str, Any] = {f"{name}/words": len(split.gold) for name, split in corpus.splits.items()}
    sizes |= {"vocabulary": len(corpus.words), "characters": len(corpus.characters), "tags": len(corpus.tags)}
    counted = "repeated" if corpus.source.given else "removed"
    sizes |= splits.sizes(corpus.sentences, corpus.repeated, "sentences", counted) | margins.fields(row, baselines[-1])
    return fitting.fit_records(row, {scoring.metric: 1 - row.validation}, row.test.values, **sizes)


def summarize(corpus: Corpus, scoring: Scoring, baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> Report:
    """Returns findings, table and figures."""
    title = f"{corpus.source.name}: {len(corpus.tags)} tags, {len(corpus.sentences['training']):,} training sentences"
    caption = (
        f"{scoring.caption[:-1]}{seeds_note(len(outcomes[0].validation))}. {margins.NOTE} Items are sentences. The "
        f"test set has {len(corpus.splits['test'].gold):,} words. min: minutes of training for each seed. "
        f"{len(corpus.words):,} words have an embedding; {CHARACTERS} characters of a word are read. {corpus.note}"
    )
    label = f"{scoring.label}, validation set (%)"
    curves = functools.partial(figures.validation_figure, baselines, outcomes, label, lambda e: 100 * (1 - e))
    tags = functools.partial(_tags_figure, corpus, [baselines[-1], *outcomes])
    pngs = {f"{scoring.metric}.png": ("Validation during training", curves), "tags.png": ("F1 of each tag", tags)}
    scores = [
        report.Column(f"{heading}, %", functools.partial(lambda name, row: mean_sd(100 * row.test.values[name]), name))
        for heading, name in scoring.columns.items()
    ]
    rows: list[Row] = [*baselines, *outcomes]
    table = Table([*COLUMNS, *scores, margins.column((rows, baselines[-1])), fitting.MINUTES], {title: rows}, caption)
    return Report("A tag for every word", findings(scoring, baselines, outcomes), [table], pngs)


def findings(scoring: Scoring, baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> list[str]:
    """Returns the best network beside the best baseline, and what each source of information contributes."""
    best = fitting.best_outcome(outcomes)
    score = f"{scoring.label} {100 * float(np.mean(best.test.values[scoring.metric])):.2f} % on the test set"
    sentences = [f"Validation chooses {best.title}: {score}, {margins.words(best, baselines[-1])}."]
    rows = {outcome.network.name: outcome for outcome in outcomes}
    for information, (more, less) in COMPARED.items():
        if {more, less} <= rows.keys():
            sentences.append(f"{information}: {margins.words(rows[more], rows[less])}.")
    return sentences + fitting.diverged(outcomes)


def _tags_figure(corpus: Corpus, rows: Sequence[Row]) -> bytes:
    """Draws F1 of every tag or type of entities on the test set, means over seeds, the most frequent one first."""
    every = collections.Counter(tag for sentence in corpus.splits["test"].sentences for tag in sentence.tags)
    names = [name.removeprefix("f1/") for name in rows[0].test.values if name.startswith("f1/")]
    counts = {name: every[name] + every[f"B-{name}"] for name in names}
    tags = [tag for tag in sorted(counts, key=lambda tag: -counts[tag]) if counts[tag]]
    figure = plotting.figure((10, 4.8))
    axis = figure.subplots()
    bars = {row.title: [100 * float(np.mean(row.test.values[f"f1/{tag}"])) for tag in tags] for row in rows}
    colors = ["0.6", *(f"C{index}" for index in range(len(rows) - 1))]
    figures.grouped_bars(axis, [f"{tag}\n{counts[tag]:,}" for tag in tags], bars, colors)
    axis.tick_params("x", rotation=45, labelsize=8)
    axis.set(ylabel="F1, test set (%)", xlabel="tag, and its number in the test set", ylim=(0, 100))
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return plotting.png(figure)
