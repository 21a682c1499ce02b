"""Names that were generated: how many are new, and how often a classifier hears the language asked for."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from experiments.common.text_classification.measurement import Outcome, guesses
from experiments.common.text_classification.texts import Texts, part_of
from experiments.names.generator import LONGEST, Generator, Writing, write
from rnn_jax import report
from rnn_jax.data import Labelled
from rnn_jax.data.stratified import same

COUNT = 1000
SHOWN = 5  # names a language


@dataclasses.dataclass(frozen=True)
class Generated:
    """COUNT names, the languages in turn; what is said of them."""

    names: list[str]
    languages: np.ndarray  # asked for, [COUNT]
    new: np.ndarray  # bool [COUNT]: not among the names of the training part, of any language
    heard: np.ndarray  # bool [seeds, COUNT]: the classifier gives it the language asked for
    real: np.ndarray  # [seeds]: the share of the test part's names it gives theirs, the mean over the languages


def generated(generator: Generator, writing: Writing, judge: Outcome, texts: Texts, seed: int) -> Generated:
    """Generates names and has them judged by a classifier, all of its seeds."""
    languages = np.arange(COUNT) % len(texts.classes)
    names = write(generator, writing.fit.params, languages, jax.random.key(seed))
    known = {same(name) for name in texts.parts["training"].labelled.texts}
    part = part_of(Labelled(tuple(names), languages.astype(np.int32), texts.classes), texts.vocabulary, texts.tokens)
    heard = guesses(judge.network.trainer.model, judge.fit.params, part) == languages
    assert judge.guesses is not None
    labels = texts.parts["test"].labels
    real = np.mean([np.mean(judge.guesses[:, labels == n] == n, axis=1) for n in range(len(texts.classes))], axis=0)
    return Generated(names, languages, np.array([same(name) not in known for name in names]), heard, real)


@dataclasses.dataclass(frozen=True)
class Row:
    """A language of the table; shares in percent."""

    language: str
    new: float
    heard: float
    names: str


def rows(found: Generated, texts: Texts) -> list[Row]:
    """One a language; the first few of its names that are new."""
    table = []
    for number, language in enumerate(texts.classes):
        asked = found.languages == number
        shown = [found.names[i] for i in np.flatnonzero(asked & found.new)[:SHOWN]]
        heard = 100 * float(np.mean(found.heard[:, asked]))
        table.append(Row(language, 100 * float(np.mean(found.new[asked])), heard, ", ".join(shown)))
    return table


COLUMNS = [
    report.Column("language", lambda row: row.language, right=False),
    report.Column("new %", lambda row: f"{row.new:.0f}"),
    report.Column("heard %", lambda row: f"{row.heard:.0f}"),
    report.Column(f"the first {SHOWN} that are new", lambda row: row.names, right=False),
]


def record(generator: Generator, writing: Writing, found: Generated | None, judge: str) -> dict[str, Any]:
    """The generator's flat record."""
    model = generator.trainer.model
    record = {
        "run": "generator",
        "seed": 0,
        "finished": found is not None,
        "definition": model,
        "optimizer": repr(generator.trainer.optimizer),
        "clip": repr(generator.trainer.clip),
        "best_epoch": int(writing.fit.best[0]),
        "validation/nats_per_character": float(np.nanmin(writing.fit.scores)),
        "test/nats_per_character": writing.test,
        "test/nats_per_character_told_another_language": writing.other,
        "seconds": writing.fit.seconds,
    }
    if found is not None:
        record |= {
            "generated": COUNT,
            "generated/new": int(found.new.sum()),
            "generated/different": len({same(name) for name in found.names}),
            "judge": judge,
            "generated/language_heard": float(np.mean(found.heard)),
            "test/language_heard": float(np.mean(found.real)),
        }
    return record


def sentences(writing: Writing, found: Generated, judge: str) -> Sequence[str]:
    """What was found, computed from the measurements."""
    ends = sum(len(name) < LONGEST for name in found.names)
    return [
        f"Names of the test part cost {writing.test:.3f} nats per character where their language is told, and "
        f"{writing.other:.3f} where another one is.",
        f"Of {COUNT:,} generated names {found.new.sum():,} are not in the training part, "
        f"{len({same(name) for name in found.names}):,} differ from each other, and {ends:,} came to an end.",
        f"{judge} gives {100 * found.heard.mean():.1f} % of them the language asked for; of the test part's names it "
        f"gives {100 * found.real.mean():.1f} % theirs, as the mean over the languages.",
    ]
