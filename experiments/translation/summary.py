"""Records, tables, figures and findings."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.common import fitting, margins
from experiments.common.figures import validation_figure
from experiments.common.pair_texts import Corpus
from experiments.common.run_folder import Report, Table
from experiments.common.splits import repeats_note
from experiments.common.tables import pivot
from experiments.common.text_scores import ROUGE
from experiments.translation.measurement import Baseline, Outcome
from rnn_jax import plotting, report
from rnn_jax.data import Referenced

ALIGNED = 3  # test sources whose attention is drawn

Rows = Sequence[Outcome | Baseline]


def records(corpus: Corpus, baselines: Sequence[Baseline], row: Outcome | Baseline) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    validation, fields = {}, corpus.fields | margins.fields(row, strongest(baselines))
    if isinstance(row, fitting.Outcome):
        validation["nats_per_token"] = row.validation
        fields |= {"steps": row.fit.history.loss.shape[1], "search_seconds": row.test.search_seconds}
    base = fitting.fit_records(row, validation, {}, **fields)
    return [record | tested for record, tested in zip(base, row.test.fields, strict=True)]


def summarize(corpus: Corpus, baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> Report:
    """Returns findings, tables and figures."""
    losses = f"validation loss (nats/{corpus.token})"
    pngs: dict[str, tuple[str, plotting.Drawing]] = {
        "loss.png": ("Validation loss over the training", lambda: validation_figure([], outcomes, losses)),
        "length.png": ("Score over the length of the source", lambda: _length_figure(corpus, [*baselines, *outcomes])),
    }
    if attending := [outcome for outcome in outcomes if outcome.test.weights is not None]:
        pngs["alignment.png"] = ("Attention weights", lambda: _alignment_figure(corpus.tested, attending[0]))
    tables = [_score_table(corpus, baselines, outcomes), _example_table(outcomes)]
    return Report("Translation", findings(corpus, baselines, outcomes), tables, pngs)


def _column(header: str, field: str, digits: int = 1, scale: float = 1.0) -> report.Column:
    """Returns the column of a field's means over the seeds, which is empty for a row without the field."""

    def text(row: Outcome | Baseline) -> str:
        mean = row.test.mean(f"test/{field}")
        return "" if mean is None else f"{scale * mean:.{digits}f}"

    return report.Column(header, text)


def strongest(baselines: Sequence[Baseline]) -> Baseline:
    """Returns the baseline with the best main score on the test set; validation does not score baselines."""
    return max(baselines, key=lambda row: float(row.test.scored.values[0]))


def _score_table(corpus: Corpus, baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> Table:
    rows: Rows = [*baselines, *outcomes]
    by_words = [
        _column("BLEU", "bleu"),
        _column("BLEU, unseen", "unseen_targets/bleu"),
        *(_column(f"ROUGE-{name.removeprefix('rouge')}", name, scale=100) for name in ROUGE),
    ]
    columns = [
        report.Column("model", lambda row: row.title, right=False),
        report.Column("valid. nats", lambda row: "" if row.minutes is None else f"{np.mean(row.validation):.3f}"),
        _column("test nats", "nats_per_token", 3),
        *(by_words if corpus.by_words else []),
        _column("exact, %", "exact", scale=100),
        margins.column((rows, strongest(baselines))),
        report.Column("search, s", lambda row: "" if row.minutes is None else f"{row.test.search_seconds:.0f}"),
    ]
    caption = (
        f"Nats per {corpus.token}; exact: equal to a reference. Points of {corpus.scores[0][1]}. {margins.NOTE} "
        f"{corpus.kept:,} of {corpus.read:,} pairs are used."
    )
    if corpus.repeated:
        caption += f" {repeats_note(corpus.repeated, 'pairs')}"
    if corpus.by_words:
        caption += (
            f" BLEU of lower-cased text ({corpus.fields['bleu_signature']}); unseen: the {len(corpus.unseen):,} "
            "sources with no translation in the training set. ROUGE, F1 in percent: words, word pairs and the longest "
            "common subsequence, with the best reference; no stemming."
        )
    title = f"{corpus.name}: {len(corpus.splits.training):,} training pairs, {len(corpus.tested):,} test sources"
    return Table(columns, {title: rows}, caption)


def _example_table(outcomes: Sequence[Outcome]) -> Table:
    examples = [
        {**each, "model": outcome.title, "references": " | ".join(each["references"])}
        for outcome in outcomes
        for each in outcome.test.fields[0]["examples"]
    ]
    columns = {"source": "source", "{}": "translation", "references": "references"}
    return pivot(examples, lambda _: "Translations of test sources", ["source"], columns, "", by="model")


def findings(corpus: Corpus, baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> list[str]:
    """Returns the networks compared with the strongest baseline, the longest sources, and divergence."""
    rows: Rows = [*baselines, *outcomes]
    sentences = []
    for field, unit, scale in corpus.scores:
        means = {row.title: scale * (row.test.mean(f"test/{field}") or 0) for row in rows}
        best = max((row.title for row in baselines), key=means.__getitem__)
        sentences.append(
            f"{unit} on the test set: {', '.join(f'{o.title} {means[o.title]:.1f}' for o in outcomes)}; strongest "
            f"baseline: {best} {means[best]:.1f}."
        )
    pairs = [(outcome, strongest(baselines)) for outcome in outcomes] + list(itertools.combinations(outcomes, 2))
    compared = "; ".join(f"{first.title} {margins.words(first, second)}" for first, second in pairs)
    field, unit, scale = corpus.scores[0]
    sentences.append(f"{unit}: {compared}.")
    groups = {o.title: [each["test/by_length"][-1] for each in o.test.fields] for o in outcomes}
    ends = ", ".join(f"{title} {scale * np.mean([g[field] for g in each]):.1f}" for title, each in groups.items())
    span = "{shortest} to {longest}".format_map(groups[outcomes[0].title][0])
    sentences.append(f"{unit} on the longest sources ({span} tokens): {ends}.")
    return sentences + fitting.diverged(outcomes)


def _length_figure(corpus: Corpus, rows: Rows) -> bytes:
    """Draws BLEU, or exact matches, over the length of the source; the mean of the seeds, and each seed as a mark."""
    figure = plotting.figure((8.5, 4.8))
    axis = figure.subplots()
    key, _, scale = corpus.scores[0]
    for color, row in enumerate(rows):
        values = scale * np.array([[group[key] for group in each["test/by_length"]] for each in row.test.fields])
        network: dict[str, Any] = {"lw": 2, "marker": "o"}
        style = {"lw": 1.2, "ls": "--", "marker": "."} if row.minutes is None else network
        axis.plot(values.mean(axis=0), color=f"C{color}", label=row.title, **style)
        if len(values) > 1:
            axis.plot(values.T, color=f"C{color}", ls="", marker="_", ms=9)
    groups = rows[0].test.fields[0]["test/by_length"]
    spans = [f"{g['shortest']} to {g['longest']}" if g["shortest"] < g["longest"] else g["longest"] for g in groups]
    axis.set_xticks(range(len(groups)), [f"{s}\n{g['items']} sources" for s, g in zip(spans, groups, strict=True)])
    score = "BLEU (lower-cased)" if corpus.by_words else "translations without an error (%)"
    axis.set(xlabel=f"length of the source ({corpus.token}s, punctuation included)", ylabel=score, ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return plotting.png(figure)


def _alignment_figure(items: Sequence[Referenced], outcome: Outcome) -> bytes:
    """Draws the attention weights of a few test sources."""
    assert outcome.test.weights is not None
    (translations, *_), panels = outcome.test.translations, []
    for place in aligned(items):
        source, written = items[place].source, [*translations[place], "END"]
        panels.append((outcome.test.weights[place][: len(written), : len(source)], source, written))
    return plotting.attention_figure(panels)


def aligned(items: Sequence[Referenced]) -> list[int]:
    """Returns three of the longer sources, evenly spread over the test set, without regard to the result."""
    lengths = np.array([len(item.source) for item in items])
    longer = np.flatnonzero(lengths >= np.quantile(lengths, 0.75))
    places = np.linspace(0, len(longer) - 1, ALIGNED + 2)[1:-1].astype(int)
    return sorted({int(longer[place]) for place in places})
