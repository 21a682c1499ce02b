"""What a run leaves behind and shows: the records, the table, the findings in words, some translations."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from experiments.translation import scoring
from experiments.translation.config import Config, Plan
from experiments.translation.corpus import Corpus, Item
from experiments.translation.measurement import Outcome
from experiments.translation.scoring import Score
from rnn_jax import report
from rnn_jax.data.pairs import Words

SHOWN = 10  # translations
GROUPS = 5  # of sources, by length, about as many in each


class Row(NamedTuple):
    """Of the table: means over seeds."""

    model: str
    validation: float | None  # nats per token
    test: float | None
    bleu: float | None
    new_bleu: float | None  # of the sources none of whose translations was seen
    exact: float


class Baseline(NamedTuple):
    """What translates without a network."""

    translations: Sequence[Words]
    score: Score


def unseen(corpus: Corpus, items: Sequence[Item]) -> list[int]:
    """The items none of whose references is a target of the training part."""
    known = {target for _, target in corpus.parts.training}
    return [place for place, item in enumerate(items) if not known & set(item.references)]


def by_length(corpus: Corpus, items: Sequence[Item], translations: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """Scores of the sources in groups of neighbouring lengths: shortest, longest, items, score."""
    lengths = np.array([len(item.source) for item in items])
    found, least = [], int(lengths.min())
    for most in np.unique(np.quantile(lengths, np.linspace(0, 1, GROUPS + 1)[1:], method="lower")).tolist():
        places = np.flatnonzero((lengths >= least) & (lengths <= most)).tolist()
        score = scoring.score(corpus, [items[i] for i in places], [translations[i] for i in places])
        found.append({"shortest": least, "longest": most, "items": len(places), **score._asdict()})
        least = most + 1
    return found


def common(plan: Plan, items: Sequence[Item]) -> dict[str, Any]:
    """What stands in every record."""
    corpus = plan.corpus
    new = unseen(corpus, items)
    unknown = [
        float(np.mean([word not in known for pair in corpus.parts.test for word in pair[side]]))
        for side, known in enumerate((set(corpus.source.tokens), set(corpus.target.tokens)))
    ]
    return {
        "source": corpus.name,
        "pairs/read": corpus.read,
        "pairs/kept": corpus.kept,
        **{f"pairs/{part}": len(pairs) for part, pairs in corpus.parts._asdict().items()},
        "vocabulary/source": len(corpus.source),
        "vocabulary/target": len(corpus.target),
        "test/sources": len(items),
        "test/sources_with_unseen_targets": len(new),
        "test/unknown_source_words": unknown[0],
        "test/unknown_target_words": unknown[1],
        "bleu_signature": scoring.signature(corpus, items) if corpus.by_words else None,
    }


def _measured(
    corpus: Corpus, items: Sequence[Item], translations: Sequence[Sequence[str]], score: Score
) -> dict[str, Any]:
    """Of one seed, or of a baseline."""
    new = unseen(corpus, items)
    on_new = scoring.score(corpus, [items[i] for i in new], [translations[i] for i in new]) if new else None
    return {
        "test/bleu": score.bleu,
        "test/exact": score.exact,
        "test/unseen_targets/bleu": None if on_new is None else on_new.bleu,
        "test/unseen_targets/exact": None if on_new is None else on_new.exact,
        "test/by_length": by_length(corpus, items, translations),
    }


def records(plan: Plan, config: Config, items: Sequence[Item], name: str, outcome: Outcome) -> list[dict[str, Any]]:
    """The flat records of a network, one a seed."""
    trainer = plan.trainers[name]
    return [
        {
            "run": name,
            "seed": seed,
            "definition": trainer.model,
            "optimizer": repr(trainer.optimizer),
            "clip": repr(trainer.clip),
            "parameters": trainer.parameters,
            "steps": plan.steps,
            "best_epoch": int(outcome.fit.best[seed]),
            "validation/nats_per_token": [float(nats) for nats in outcome.fit.scores[seed]],
            "test/nats_per_token": float(outcome.nats[seed]),
            **_measured(plan.corpus, items, outcome.translations[seed], outcome.scores[seed]),
            "training_seconds": outcome.training_seconds,
            "search_seconds": outcome.search_seconds,
            "diverged": outcome.fit.diverged,
            "examples": _examples(plan.corpus, items, outcome.translations[seed]),
        }
        for seed in range(config.seeds)
    ]


def baseline_record(plan: Plan, items: Sequence[Item], name: str, baseline: Baseline) -> dict[str, Any]:
    """The flat record of what needs no network."""
    return {"run": name, "seed": 0, **_measured(plan.corpus, items, baseline.translations, baseline.score)}


def _examples(corpus: Corpus, items: Sequence[Item], translations: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    return [
        {
            "source": corpus.text(items[i].source),
            "translation": corpus.text(translations[i]),
            "references": [corpus.text(reference) for reference in items[i].references],
        }
        for i in shown(items)
    ]


def shown(items: Sequence[Item]) -> list[int]:
    """The items shown: spread evenly over the test part, chosen before anything was translated."""
    return np.linspace(0, len(items) - 1, min(SHOWN, len(items))).astype(int).tolist()


def rows(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Row]:
    """Of records by run."""

    def mean(records: Sequence[Mapping[str, Any]], key: str) -> float | None:
        values = [record.get(key) for record in records]
        return None if any(value is None for value in values) else float(np.mean([v for v in values if v is not None]))

    return [
        Row(
            name if "parameters" not in of_run[0] else f"attention: {name}",
            float(np.mean([min(r["validation/nats_per_token"]) for r in of_run]))
            if "validation/nats_per_token" in of_run[0]
            else None,
            mean(of_run, "test/nats_per_token"),
            mean(of_run, "test/bleu"),
            mean(of_run, "test/unseen_targets/bleu"),
            mean(of_run, "test/exact") or 0.0,
        )
        for name, of_run in found.items()
    ]


def columns(by_words: bool) -> list[report.Column]:
    """Of the table; without BLEU where the tokens are characters."""

    def number(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    found = [
        report.Column("model", lambda row: row.model, right=False),
        report.Column("validation: nats", lambda row: number(row.validation, 3)),
        report.Column("test: nats", lambda row: number(row.test, 3)),
    ]
    if by_words:
        found.append(report.Column("BLEU", lambda row: number(row.bleu, 1)))
        found.append(report.Column("BLEU, new targets", lambda row: number(row.new_bleu, 1)))
    return [*found, report.Column("exact", lambda row: f"{row.exact:.1%}")]


def title(plan: Plan) -> str:
    """Of the table."""
    parts = plan.corpus.parts
    sources = len({source for source, _ in parts.test})
    return f"{plan.corpus.name}: {len(parts.training):,} pairs to learn from, {sources:,} sources to translate"


def caption(plan: Plan, shared: Mapping[str, Any]) -> str:
    """Of the table."""
    corpus = plan.corpus
    kept = f"{corpus.kept:,} of {corpus.read:,} pairs are short enough."
    if not corpus.by_words:
        return f"Nats per character; exact: the share of translations without an error. {kept}"
    return (
        f"Nats per word; BLEU of lower-cased text ({shared['bleu_signature']}); exact: the share equal to a reference. "
        f"{kept} New targets: the {shared['test/sources_with_unseen_targets']:,} sources with no translation that "
        "stands in the training part under another source."
    )


def sentences(plan: Plan, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """What was found; computed from the measurements."""
    words = []
    measure, unit = ("test/bleu", "BLEU") if plan.corpus.by_words else ("test/exact", "exact")
    means = {name: float(np.mean([r[measure] for r in of_run])) for name, of_run in found.items()}
    networks = [name for name in means if name in plan.trainers]
    opponents = {name: mean for name, mean in means.items() if name not in plan.trainers}
    strongest = max(opponents, key=lambda name: opponents[name])

    def told(value: float) -> str:
        return f"{value:.1f} BLEU" if unit == "BLEU" else f"{value:.1%} exact"

    for name in networks:
        words.append(
            f"{'Without attention' if name == 'none' else f'Attention ({name})'}: {told(means[name])}; the strongest "
            f"opponent without a network ({strongest}): {told(opponents[strongest])}."
        )
    new = {name: of_run[0]["test/unseen_targets/bleu"] for name, of_run in found.items()}
    if plan.corpus.by_words and None not in new.values():
        told_new = ", ".join(
            f"{name} {np.mean([r['test/unseen_targets/bleu'] for r in found[name]]):.1f}" for name in new
        )
        words.append(f"BLEU on sources none of whose translations stands in the training part: {told_new}.")
    attending = [name for name in networks if name != "none"]
    if attending and "none" in networks:
        for name in attending:
            ends = [[r["test/by_length"][-1] for r in found[run]] for run in (name, "none")]
            key = "bleu" if plan.corpus.by_words else "exact"
            its, without = (float(np.mean([group[key] for group in groups])) for groups in ends)
            shortest, longest = ends[0][0]["shortest"], ends[0][0]["longest"]
            words.append(
                f"On the longest sources ({shortest} to {longest} tokens) {name} attention has {told(its)}, none "
                f"{told(without)}."
            )
    for name in networks:
        record = found[name][0]
        words.append(
            f"{name}: {record['parameters']:,} parameters, {record['training_seconds'] / 60:.1f} minutes of training, "
            f"best after epoch {record['best_epoch']}, {record['search_seconds']:.0f} seconds of search."
        )
        words += [f"{name} did not end well: {sentence}." for sentence in record["diverged"]]
    return words


def show(
    console: Console,
    plan: Plan,
    table: Sequence[Row],
    shared: Mapping[str, Any],
    words: Sequence[str],
    found: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """Prints the table, the findings and ten translations."""
    sections = {title(plan): table}
    console.print(report.TextTables(columns(plan.corpus.by_words), sections, caption(plan, shared)), highlight=False)
    for sentence in words:
        console.print(f"- {sentence}", markup=False, highlight=False)
    networks = [name for name in found if name in plan.trainers]
    console.rule("translations of test sources", align="left")
    for number, example in enumerate(found[networks[0]][0]["examples"]):
        console.print(f"  source: {example['source']}", markup=False, highlight=False)
        for name in networks:
            translation = found[name][0]["examples"][number]["translation"]
            console.print(f"{name:>8}: {translation}", markup=False, highlight=False)
        references = " | ".join(example["references"])
        console.print(f"  wanted: {references}\n", markup=False, highlight=False)
