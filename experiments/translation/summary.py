"""Records, tables, figures and findings."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.common import fitting
from experiments.common.figures import validation_figure
from experiments.common.run_folder import Report, Table
from experiments.common.tables import Record, Records, pivot
from experiments.translation import scoring
from experiments.translation.corpus import Corpus
from experiments.translation.measurement import Baseline, Outcome
from rnn_jax import plotting
from rnn_jax.data import Referenced, Vocabulary

ALIGNED, EXAMPLES = 3, 10  # test sources whose attention is drawn, and whose translations are shown

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
    groups = {"": range(len(items)), "unseen_targets/": unseen}
    scores = {
        f"test/{name}{key}": value
        for name, places in groups.items()
        for key, value in scoring.score(corpus, [items[i] for i in places], [translations[i] for i in places]).items()
    }
    examples = []
    # Evenly spread over the test set, chosen without regard to the translations.
    for i in np.linspace(0, len(items) - 1, min(EXAMPLES, len(items))).astype(int):
        references = [corpus.text(reference) for reference in items[i].references]
        source, translation = corpus.text(items[i].source), corpus.text(translations[i])
        examples.append({"source": source, "translation": translation, "references": references})
    return {**scores, "test/by_length": scoring.by_length(corpus, items, translations), "examples": examples}


def summarize(corpus: Corpus, baselines: Sequence[Baseline], outcomes: Sequence[Outcome]) -> Report:
    """Returns findings, tables and figures."""
    rows: list[Outcome | Baseline] = [*baselines, *outcomes]
    runs, networks = {row.title: records(corpus, row) for row in rows}, [outcome.title for outcome in outcomes]
    losses = f"validation loss (nats/{corpus.token})"
    pngs: dict[str, tuple[str, plotting.Drawing]] = {
        "loss.png": ("Validation loss over the training", lambda: validation_figure([], outcomes, losses)),
        "length.png": ("Score over the length of the source", lambda: _length_figure(corpus, runs, networks)),
    }
    if attending := [outcome for outcome in outcomes if outcome.test.weights is not None]:
        pngs["alignment.png"] = ("Attention weights", lambda: _alignment_figure(corpus.tested, attending[0]))
    tables = [_score_table(corpus, runs), _example_table({name: runs[name] for name in networks})]
    return Report("Translation", findings(corpus, runs, outcomes), tables, pngs)


def _means(runs: Runs) -> list[Record]:
    """Returns a record for each run: the means of its numbers over the seeds."""
    means = []
    for name, seeds in runs.items():
        numbers = [field for field, value in seeds[0].items() if isinstance(value, float)]
        means.append({"model": name, **{field: float(np.mean([seed[field] for seed in seeds])) for field in numbers}})
    return means


def _number(field: str, digits: int, scale: float = 1.0) -> Callable[[Record, Records], str]:
    """Returns the text of a field's mean, which is empty for a run without the field."""
    return lambda record, _: f"{scale * record[field]:.{digits}f}" if field in record else ""


def _score_table(corpus: Corpus, runs: Runs) -> Table:
    bleu = {"BLEU": _number("test/bleu", 1), "BLEU, unseen": _number("test/unseen_targets/bleu", 1)}
    columns = {
        "model": "model",
        "valid. nats": _number("validation/nats_per_token", 3),
        "test nats": _number("test/nats_per_token", 3),
        **(bleu if corpus.by_words else {}),
        "exact, %": _number("test/exact", 1, 100.0),
        "search, s": _number("search_seconds", 0),
    }
    caption = (
        f"Nats per {corpus.token}; exact: equal to a reference. {corpus.kept:,} of {corpus.read:,} pairs are short "
        "enough."
    )
    if corpus.by_words:
        caption += (
            f" BLEU of lower-cased text ({next(iter(runs.values()))[0]['bleu_signature']}); unseen: the "
            f"{len(corpus.unseen):,} sources with no translation in the training set."
        )
    title = f"{corpus.name}: {len(corpus.splits.training):,} training pairs, {len(corpus.tested):,} test sources"
    return pivot(_means(runs), lambda _: title, ["model"], columns, caption)


def _example_table(runs: Runs) -> Table:
    examples = [
        {**each, "model": name, "references": " | ".join(each["references"])}
        for name, (first, *_) in runs.items()
        for each in first["examples"]
    ]
    columns = {"source": "source", "{}": "translation", "references": "references"}
    return pivot(examples, lambda _: "Translations of test sources", ["source"], columns, "", by="model")


def findings(corpus: Corpus, runs: Runs, outcomes: Sequence[Outcome]) -> list[str]:
    """Returns the networks compared with the strongest baseline, the longest sources, and divergence."""
    field, unit, scale = corpus.score
    means = {each["model"]: scale * each[f"test/{field}"] for each in _means(runs)}
    networks = [outcome.title for outcome in outcomes]
    strongest = max((name for name in means if name not in networks), key=means.__getitem__)
    longest = {name: [seed["test/by_length"][-1] for seed in runs[name]] for name in networks}
    ends = {name: scale * np.mean([group[field] for group in groups]) for name, groups in longest.items()}
    return [
        f"{unit} on the test set: {', '.join(f'{name} {means[name]:.1f}' for name in networks)}; strongest baseline: "
        f"{strongest} {means[strongest]:.1f}.",
        "{} on the longest sources ({shortest} to {longest} tokens): ".format(unit, **longest[networks[0]][0])
        + f"{', '.join(f'{name} {end:.1f}' for name, end in ends.items())}.",
        *fitting.diverged(outcomes),
    ]


def _length_figure(corpus: Corpus, runs: Runs, networks: Sequence[str]) -> bytes:
    """Draws BLEU, or exact matches, over the length of the source; the mean of the seeds, and each seed as a mark."""
    figure = plotting.figure((8.5, 4.8))
    axis = figure.subplots()
    key, _, scale = corpus.score
    groups = next(iter(runs.values()))[0]["test/by_length"]
    for color, (name, seeds) in enumerate(runs.items()):
        values = scale * np.array([[group[key] for group in record["test/by_length"]] for record in seeds])
        style: dict[str, Any] = {"lw": 2, "marker": "o"} if name in networks else {"lw": 1.2, "ls": "--", "marker": "."}
        axis.plot(values.mean(axis=0), color=f"C{color}", label=name, **style)
        if len(values) > 1:
            axis.plot(values.T, color=f"C{color}", ls="", marker="_", ms=9)
    spans = [f"{g['shortest']} to {g['longest']}" if g["shortest"] < g["longest"] else g["longest"] for g in groups]
    labels = [f"{span}\n{g['items']} sources" for span, g in zip(spans, groups, strict=True)]
    axis.set_xticks(range(len(groups)), labels)
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
