"""Records, tables, figures and findings."""

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.common import fitting
from experiments.common.figures import validation_figure
from experiments.common.run_folder import Report, Table
from experiments.translation import scoring
from experiments.translation.corpus import Corpus
from experiments.translation.measurement import Baseline, Outcome
from rnn_jax import plotting, report
from rnn_jax.data import Referenced, Vocabulary

ALIGNED = 3

EXAMPLES = 10

Runs = Mapping[str, Sequence[Mapping[str, Any]]]  # title of a network or baseline -> records of its seeds


def records(corpus: Corpus, row: Outcome | Baseline) -> list[dict[str, Any]]:
    """Returns one flat record for each seed of a network, or the one of a baseline."""
    test, fields = row.test, corpus_fields(corpus)
    if isinstance(row, fitting.Outcome) and test.nats is not None:
        fields |= {"steps": row.fit.history.loss.shape[1], "search_seconds": test.search_seconds}
        base = fitting.fit_records(row, {"nats_per_token": row.validation}, {"nats_per_token": test.nats}, **fields)
    else:
        base = [fitting.baseline_record(row.title, **fields)]
    return [record | _scores(corpus, each) for record, each in zip(base, test.translations, strict=True)]


def corpus_fields(corpus: Corpus) -> dict[str, Any]:
    """Returns the fields that every record of a corpus has."""
    sources, vocabularies = [item.source for item in corpus.tested], {"source": corpus.source, "target": corpus.target}
    unknown = {
        name: np.concatenate([vocabulary.encode(pair[side]) for pair in corpus.splits.test]) == Vocabulary.UNKNOWN
        for side, (name, vocabulary) in enumerate(vocabularies.items())
    }
    return {
        "source": corpus.name,
        "pairs/read": corpus.read,
        "pairs/kept": corpus.kept,
        **{f"pairs/{split}": len(pairs) for split, pairs in corpus.splits._asdict().items()},
        **{f"vocabulary/{name}": len(vocabulary) for name, vocabulary in vocabularies.items()},
        "test/sources": len(sources),
        "test/sources_with_unseen_targets": len(corpus.unseen),
        **{f"test/unknown_{name}_words": float(np.mean(words)) for name, words in unknown.items()},
        "bleu_signature": scoring.bleu(corpus, corpus.tested, sources)[1] if corpus.by_words else None,
    }


def _scores(corpus: Corpus, translations: Sequence[Sequence[str]]) -> dict[str, Any]:
    items, unseen = corpus.tested, corpus.unseen
    score = scoring.score(corpus, items, translations)
    unseen_score = scoring.score(corpus, [items[i] for i in unseen], [translations[i] for i in unseen])
    # Evenly spread over the test set, chosen without regard to the translations.
    shown = np.linspace(0, len(items) - 1, min(EXAMPLES, len(items))).astype(int).tolist()
    return {
        "test/bleu": score.bleu,
        "test/exact": score.exact,
        "test/unseen_targets/bleu": unseen_score.bleu,
        "test/unseen_targets/exact": unseen_score.exact,
        "test/by_length": scoring.by_length(corpus, items, translations),
        "examples": [
            {
                "source": corpus.text(items[i].source),
                "translation": corpus.text(translations[i]),
                "references": [corpus.text(reference) for reference in items[i].references],
            }
            for i in shown
        ],
    }


def summarize(corpus: Corpus, baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> Report:
    """Returns findings, tables and figures."""
    rows: list[Outcome | Baseline] = [*baselines, *outcomes]
    runs, networks = {row.title: records(corpus, row) for row in rows}, [outcome.title for outcome in outcomes]
    losses = f"validation loss (nats/{'word' if corpus.by_words else 'character'})"
    pngs = {
        "loss.png": ("Validation loss over the training", functools.partial(validation_figure, [], outcomes, losses)),
        "length.png": (
            "Score over the length of the source",
            functools.partial(_length_figure, corpus, runs, networks),
        ),
    }
    if attending := [outcome for outcome in outcomes if outcome.test.weights is not None]:
        pngs["alignment.png"] = (
            "Attention weights",
            functools.partial(_alignment_figure, corpus.tested, attending[0]),
        )
    tables = [_score_table(corpus, runs), _example_table({name: runs[name] for name in networks})]
    return Report("Translation", findings(corpus, runs, outcomes), tables, pngs)


def _score_table(corpus: Corpus, runs: Runs) -> Table:
    def column(header: str, key: str, digits: int, scale: float = 1.0) -> report.Column:
        """Returns a column of means over the seeds, empty for a run without the field."""

        def text(name: str) -> str:
            values: list[Any] = [record.get(key) for record in runs[name]]
            return "" if None in values else f"{scale * np.mean(values):.{digits}f}"

        return report.Column(header, text)

    bleu = [column("BLEU", "test/bleu", 1), column("BLEU, unseen", "test/unseen_targets/bleu", 1)]
    columns = [
        report.Column("model", lambda name: name, right=False),
        column("valid. nats", "validation/nats_per_token", 3),
        column("test nats", "test/nats_per_token", 3),
        *(bleu if corpus.by_words else []),
        column("exact, %", "test/exact", 1, 100.0),
        column("search, s", "search_seconds", 0),
    ]
    caption = (
        f"Nats per {'word' if corpus.by_words else 'character'}; exact: equal to a reference. {corpus.kept:,} of "
        f"{corpus.read:,} pairs are short enough."
    )
    if corpus.by_words:
        (first, *_), *_ = runs.values()
        caption += (
            f" BLEU of lower-cased text ({first['bleu_signature']}); unseen: the {len(corpus.unseen):,} sources with "
            "no translation in the training set."
        )
    title = f"{corpus.name}: {len(corpus.splits.training):,} training pairs, {len(corpus.tested):,} test sources"
    return Table(columns, {title: list(runs)}, caption)


def _example_table(runs: Runs) -> Table:
    examples = {name: seeds[0]["examples"] for name, seeds in runs.items()}
    rows = [
        [each[0]["source"], *(one["translation"] for one in each), " | ".join(each[0]["references"])]
        for each in zip(*examples.values(), strict=True)
    ]
    headers = ["source", *examples, "references"]
    columns = [report.Column(name, operator.itemgetter(n), right=False) for n, name in enumerate(headers)]
    return Table(columns, {"Translations of test sources": rows}, "")


def findings(corpus: Corpus, runs: Runs, outcomes: Sequence[Outcome]) -> list[str]:
    """Returns the networks compared with the strongest baseline, the longest sources, and divergence."""
    field, unit, scale = corpus.score
    means = {name: scale * float(np.mean([each[f"test/{field}"] for each in seeds])) for name, seeds in runs.items()}
    networks = [outcome.title for outcome in outcomes]
    strongest = max((name for name in means if name not in networks), key=means.__getitem__)
    longest = {name: [seed["test/by_length"][-1] for seed in runs[name]] for name in networks}
    ends = {name: scale * np.mean([group[field] for group in groups]) for name, groups in longest.items()}
    group = longest[networks[0]][0]
    return [
        f"{unit} on the test set: {', '.join(f'{name} {means[name]:.1f}' for name in networks)}; strongest baseline: "
        f"{strongest} {means[strongest]:.1f}.",
        f"{unit} on the longest sources ({group['shortest']} to {group['longest']} tokens): "
        f"{', '.join(f'{name} {end:.1f}' for name, end in ends.items())}.",
        *fitting.diverged(outcomes),
    ]


def _length_figure(corpus: Corpus, runs: Mapping[str, Sequence[Mapping[str, Any]]], networks: Sequence[str]) -> bytes:
    """Draws BLEU, or exact matches, over the length of the source; the mean of the seeds, and each seed as a mark."""
    figure = plotting.figure((8.5, 4.8))
    axis = figure.subplots()
    key, _, scale = corpus.score
    groups = next(iter(runs.values()))[0]["test/by_length"]
    places = np.arange(len(groups))
    for color, (name, records) in enumerate(runs.items()):
        values = scale * np.array([[group[key] for group in record["test/by_length"]] for record in records])
        style: dict[str, Any] = {"lw": 2, "marker": "o"} if name in networks else {"lw": 1.2, "ls": "--", "marker": "."}
        axis.plot(places, values.mean(axis=0), color=f"C{color}", label=name, **style)
        if len(values) > 1:
            axis.plot(places, values.T, color=f"C{color}", ls="", marker="_", ms=9)
    spans = [f"{g['shortest']} to {g['longest']}" if g["shortest"] < g["longest"] else g["longest"] for g in groups]
    axis.set_xticks(places, [f"{span}\n{g['items']} sources" for span, g in zip(spans, groups, strict=True)])
    unit = "words" if corpus.by_words else "characters"
    score = "BLEU (lower-cased)" if corpus.by_words else "translations without an error (%)"
    axis.set(xlabel=f"length of the source ({unit}, punctuation included)", ylabel=score, ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return plotting.png(figure)


def _alignment_figure(items: Sequence[Referenced], outcome: Outcome) -> bytes:
    """Draws the attention weights of three test sources, source words against written words."""
    assert outcome.test.weights is not None
    places = aligned(items)
    figure = plotting.figure((4.6 * len(places), 4.8))
    image: Any = None
    for axis, place in zip(np.atleast_1d(figure.subplots(1, len(places))), places, strict=True):
        source, written = items[place].source, [*outcome.test.translations[0][place], "END"]
        weights = outcome.test.weights[place][: len(written), : len(source)]
        image = axis.imshow(weights, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        axis.set_xticks(range(len(source)), [_visible(word) for word in source], rotation=60, ha="right")
        axis.set_yticks(range(len(written)), [_visible(word) for word in written])
        axis.set(xlabel="source", ylabel="translation")
    figure.colorbar(image, ax=figure.axes, label="attention weight", shrink=0.8)
    return plotting.png(figure)


def aligned(items: Sequence[Referenced]) -> list[int]:
    """Returns three of the longer sources, evenly spread over the test set, without regard to the result."""
    lengths = np.array([len(item.source) for item in items])
    longer = np.flatnonzero(lengths >= np.quantile(lengths, 0.75))
    places = np.linspace(0, len(longer) - 1, ALIGNED + 2)[1:-1].astype(int)
    return sorted({int(longer[place]) for place in places})


def _visible(word: str) -> str:
    return word if word.strip() else "\u2423"
