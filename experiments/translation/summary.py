"""Records, tables, figures and sentences of the translations."""

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.common import fitting
from experiments.common.run_folder import Report, Table
from experiments.translation import figures, scoring
from experiments.translation.corpus import Corpus, items
from experiments.translation.measurement import Baseline, Outcome
from rnn_jax import report

EXAMPLES = 10

Record = Mapping[str, Any]


class Summary:
    """Builds the records and the report of a corpus."""

    def __init__(self, corpus: Corpus):
        self.corpus, self.items = corpus, items(corpus.splits.test)
        self.unseen = scoring.unseen(corpus, self.items)

    @functools.cached_property
    def shared(self) -> dict[str, Any]:
        """Fields of every record."""
        corpus = self.corpus
        unknown = [
            float(np.mean([word not in known for pair in corpus.splits.test for word in pair[side]]))
            for side, known in enumerate((set(corpus.source.tokens), set(corpus.target.tokens)))
        ]
        return {
            "source": corpus.name,
            "pairs/read": corpus.read,
            "pairs/kept": corpus.kept,
            **{f"pairs/{split}": len(pairs) for split, pairs in corpus.splits._asdict().items()},
            "vocabulary/source": len(corpus.source),
            "vocabulary/target": len(corpus.target),
            "test/sources": len(self.items),
            "test/sources_with_unseen_targets": len(self.unseen),
            "test/unknown_source_words": unknown[0],
            "test/unknown_target_words": unknown[1],
            "bleu_signature": scoring.signature(corpus, self.items) if corpus.by_words else None,
        }

    def records(self, row: Outcome | Baseline) -> list[dict[str, Any]]:
        """Returns one flat record for each seed of a network, or the one of a baseline."""
        if isinstance(row, fitting.Baseline):
            base = [fitting.baseline_record(row.title)]
        else:
            assert row.test.nats is not None
            validation, test = {"nats_per_token": row.validation}, {"nats_per_token": row.test.nats}
            steps = row.fit.history.loss.shape[1]
            search = row.test.search_seconds
            base = fitting.fit_records(row, validation, test, steps=steps, search_seconds=search)
        pairs = zip(base, row.test.translations, strict=True)
        return [{**record, **self._scores(translations), **self.shared} for record, translations in pairs]

    def _scores(self, translations: Sequence[Sequence[str]]) -> dict[str, Any]:
        corpus, kept = self.corpus, self.unseen
        score = scoring.score(corpus, self.items, translations)
        unseen = scoring.Score(None, 0.0)
        if kept:
            unseen = scoring.score(corpus, [self.items[i] for i in kept], [translations[i] for i in kept])
        return {
            "test/bleu": score.bleu,
            "test/exact": score.exact,
            "test/unseen_targets/bleu": unseen.bleu,
            "test/unseen_targets/exact": unseen.exact if kept else None,
            "test/by_length": scoring.by_length(corpus, self.items, translations),
            "examples": [
                {
                    "source": corpus.text(self.items[i].source),
                    "translation": corpus.text(translations[i]),
                    "references": [corpus.text(reference) for reference in self.items[i].references],
                }
                for i in self._shown()
            ],
        }

    def _shown(self) -> list[int]:
        """Items evenly spread over the test set, chosen without regard to the translations."""
        return np.linspace(0, len(self.items) - 1, min(EXAMPLES, len(self.items))).astype(int).tolist()

    def report(self, baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> Report:
        """Returns the tables, figures and sentences."""
        rows: list[Outcome | Baseline] = [*baselines, *outcomes]
        runs = {row.title: self.records(row) for row in rows}
        networks = [outcome.title for outcome in outcomes]
        unit = f"validation loss (nats/{'word' if self.corpus.by_words else 'character'})"
        pngs = {
            "loss.png": ("Validation loss over the training", fitting.validation_figure([], outcomes, unit)),
            "length.png": ("Score over the length of the source", figures.length_figure(self.corpus, runs, networks)),
        }
        attending = [outcome for outcome in outcomes if outcome.test.weights is not None]
        if attending:
            png = figures.alignment_figure(self.items, attending[0])
            pngs["alignment.png"] = ("Attention weights", png)
        tables = [self._score_table(runs), self._example_table({name: runs[name] for name in networks})]
        return Report("Translation", findings(self.corpus, runs, outcomes), tables, pngs)

    def _score_table(self, runs: Mapping[str, Sequence[Record]]) -> Table:
        def column(header: str, key: str, digits: int, scale: float = 1.0) -> report.Column:
            def text(name: str) -> str:
                value = mean(runs[name], key)
                return "" if value is None else f"{scale * value:.{digits}f}"

            return report.Column(header, text)

        by_words, splits = self.corpus.by_words, self.corpus.splits
        bleu = [column("BLEU", "test/bleu", 1), column("BLEU, unseen", "test/unseen_targets/bleu", 1)]
        columns = [
            report.Column("model", lambda name: name, right=False),
            column("valid. nats", "validation/nats_per_token", 3),
            column("test nats", "test/nats_per_token", 3),
            *(bleu if by_words else []),
            column("exact, %", "test/exact", 1, 100.0),
            column("search, s", "search_seconds", 0),
        ]
        caption = (
            f"Nats per {'word' if by_words else 'character'}; exact: equal to a reference. {self.corpus.kept:,} of "
            f"{self.corpus.read:,} pairs are short enough."
        )
        if by_words:
            caption += (
                f" BLEU of lower-cased text ({self.shared['bleu_signature']}); unseen: the {len(self.unseen):,} "
                "sources with no translation in the training set."
            )
        title = f"{self.corpus.name}: {len(splits.training):,} training pairs, {len(self.items):,} test sources"
        return Table(columns, {title: list(runs)}, caption)

    def _example_table(self, runs: Mapping[str, Sequence[Record]]) -> Table:
        examples = {name: records[0]["examples"] for name, records in runs.items()}
        rows = [
            [each[0]["source"], *(one["translation"] for one in each), " | ".join(each[0]["references"])]
            for each in zip(*examples.values(), strict=True)
        ]
        headers = ["source", *examples, "references"]
        columns = [report.Column(name, operator.itemgetter(n), right=False) for n, name in enumerate(headers)]
        return Table(columns, {"Translations of test sources": rows}, "")


def mean(records: Sequence[Record], key: str) -> float | None:
    """Returns the mean of a field over the seeds; None if a record lacks it."""
    values = [record.get(key) for record in records]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def findings(corpus: Corpus, runs: Mapping[str, Sequence[Record]], outcomes: Sequence[Outcome]) -> list[str]:
    """Returns the networks compared with the strongest baseline, the longest sources, and divergence."""
    key, unit, scale = ("test/bleu", "BLEU", 1.0) if corpus.by_words else ("test/exact", "% exact", 100.0)
    means = {name: scale * float(np.mean([r[key] for r in records])) for name, records in runs.items()}
    networks = [outcome.title for outcome in outcomes]
    strongest = max((name for name in means if name not in networks), key=means.__getitem__)
    scores = ", ".join(f"{name} {means[name]:.1f}" for name in networks)
    field = key.removeprefix("test/")
    longest = ", ".join(
        f"{name} {scale * np.mean([r['test/by_length'][-1][field] for r in runs[name]]):.1f}" for name in networks
    )
    group = runs[networks[0]][0]["test/by_length"][-1]
    return [
        f"{unit} on the test set: {scores}; strongest baseline: {strongest} {means[strongest]:.1f}.",
        f"{unit} on the longest sources ({group['shortest']} to {group['longest']} tokens): {longest}.",
        *fitting.diverged(outcomes),
    ]
