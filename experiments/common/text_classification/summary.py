"""Records, table and sentences of networks that classify, beside those that count."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common.text_classification.measurement import Outcome, accuracy, chosen, macro_f1
from experiments.common.text_classification.opponents import Opponent
from experiments.common.text_classification.texts import Texts
from rnn_jax import report, training


class Row(NamedTuple):
    """Of the table; shares in percent, over seeds."""

    name: str
    parameters: str
    epochs: str  # that were best on the validation part
    validation: np.ndarray
    test: np.ndarray
    macro_f1: np.ndarray


def records(outcome: Outcome, texts: Texts, seed: int) -> list[dict[str, Any]]:
    """One flat record a seed, as far as the network has got."""
    network, fit = outcome.network, outcome.fit
    found = []
    for number, epoch in enumerate(fit.best.tolist()):
        record = {
            "run": network.name,
            "seed": number,
            "base_seed": seed,
            "finished": outcome.guesses is not None,
            "definition": network.trainer.model,
            "optimizer": repr(network.trainer.optimizer),
            "clip": repr(network.trainer.clip),
            "parameters": outcome.network.trainer.parameters,
            "epochs": fit.scores.shape[1],
            "best_epoch": epoch,
            "validation/accuracy": 1 - float(fit.scores[number, epoch - 1]),
            "seconds": fit.seconds,
            "diverged": training.divergence(fit.history, number),
        }
        if outcome.guesses is not None:
            record |= _tested(outcome.guesses[number], texts)
        found.append(record)
    return found


def opponents_records(opponents: Sequence[Opponent], texts: Texts) -> list[dict[str, Any]]:
    """One flat record each."""
    return [
        {
            "run": opponent.name,
            "seed": 0,
            "finished": True,
            "settings": opponent.settings,
            "validation/accuracy": opponent.validation,
            **_tested(opponent.guesses, texts),
        }
        for opponent in opponents
    ]


def _tested(guesses: np.ndarray, texts: Texts) -> dict[str, float]:
    labels = texts.parts["test"].labels
    right, f1 = accuracy(guesses[None], labels), macro_f1(guesses[None], labels)
    return {"test/accuracy": float(right[0]), "test/macro_f1": float(f1[0])}


def rows(outcomes: Sequence[Outcome], opponents: Sequence[Opponent], texts: Texts) -> list[Row]:
    """The networks that have ended, and those that count."""
    labels = texts.parts["test"].labels
    found = []
    for o in outcomes:
        if o.guesses is None:
            continue
        epochs = ",".join(map(str, o.fit.best.tolist()))
        validation = 100 * (1 - np.nanmin(o.fit.scores, axis=1))
        test, f1 = 100 * accuracy(o.guesses, labels), 100 * macro_f1(o.guesses, labels)
        found.append(Row(o.network.name, f"{o.network.trainer.parameters:,}", epochs, validation, test, f1))
    for opponent in opponents:
        guesses = opponent.guesses[None]
        test, f1 = 100 * accuracy(guesses, labels), 100 * macro_f1(guesses, labels)
        found.append(Row(opponent.name, "", opponent.settings, np.array([100 * opponent.validation]), test, f1))
    return found


def _spread(values: np.ndarray) -> str:
    """The mean, and the standard deviation over seeds where there are several."""
    return f"{values.mean():.1f}" if len(values) == 1 else f"{values.mean():.1f}±{values.std(ddof=1):.1f}"


COLUMNS = [
    report.Column("classifier", lambda row: row.name, right=False),
    report.Column("size", lambda row: row.parameters),
    report.Column("best", lambda row: row.epochs),
    report.Column("valid. %", lambda row: _spread(row.validation)),
    report.Column("test %", lambda row: _spread(row.test)),
    report.Column("macro-F1", lambda row: _spread(row.macro_f1)),
]


def title(texts: Texts) -> str:
    """Of the table."""
    counts = ", ".join(f"{len(part.labels):,} {name}" for name, part in texts.parts.items())
    return f"{texts.source}: {len(texts.classes)} classes, texts: {counts}"


def caption(texts: Texts, seeds: int) -> str:
    """Of the table."""
    spread = f", mean ± standard deviation of {seeds} seeds" if seeds > 1 else ""
    return (
        f"Size in numbers learnt; best: the epoch or setting that validation chose; accuracy and macro-F1 "
        f"in percent{spread}. "
        f"A vocabulary of {len(texts.vocabulary):,} from the training part; {texts.repeated:,} repeated texts left out."
    )


def against(outcomes: Sequence[Outcome], opponents: Sequence[Opponent], texts: Texts) -> str:
    """The network and the opponent that validation chooses, compared on the test part; in words."""
    labels = texts.parts["test"].labels
    best, opponent = chosen(outcomes), max(opponents, key=lambda each: each.validation)
    assert best.guesses is not None
    right = 100 * accuracy(best.guesses, labels)
    other = 100 * float(accuracy(opponent.guesses[None], labels)[0])
    gain = right.mean() - other
    return (
        f"The network that validation chooses, {best.network.name}, gets {_spread(right)} % of the test part right; of "
        f"what counts it chooses {opponent.name}, with {other:.1f} %: the network is {abs(gain):.1f} points "
        f"{'above' if gain > 0 else 'below'} it, where one such figure has a standard error of "
        f"{100 * np.sqrt(other / 100 * (1 - other / 100) / len(labels)):.1f}."
    )


def diverged(outcomes: Sequence[Outcome]) -> list[str]:
    """What went wrong, in words."""
    return [f"{o.network.name}: {sentence}." for o in outcomes for sentence in o.fit.diverged]
