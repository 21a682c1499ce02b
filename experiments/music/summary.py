"""What a run leaves behind and shows: the records, the arrays, the table, the findings in words."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common import run_files
from experiments.music.baselines import Baseline
from experiments.music.config import Plan
from experiments.music.measurement import Outcome
from rnn_jax import report


class Row(NamedTuple):
    """Of the table; losses [seeds], nats per step."""

    model: str
    parameters: str
    validation: np.ndarray
    test: np.ndarray
    minutes: str


def baseline_records(plan: Plan, baselines: Mapping[str, Baseline]) -> list[dict[str, Any]]:
    """The flat records of what the networks are compared with."""
    return [
        {
            "run": name,
            "seed": 0,
            "chosen": baseline.chosen or None,
            "validation/nats_per_step": baseline.validation,
            "test/nats_per_step": baseline.test,
            **_sizes(plan),
        }
        for name, baseline in baselines.items()
    ]


def records(plan: Plan, baselines: Mapping[str, Baseline], outcome: Outcome) -> list[dict[str, Any]]:
    """The flat records of a network, one a seed."""
    fit, trainer = outcome.fit, outcome.network.trainer
    return [
        {
            "run": outcome.network.name,
            "seed": seed,
            "baseline": min(each.test for each in baselines.values()),
            "definition": trainer.model,
            "optimizer": repr(trainer.optimizer),
            "clip": repr(trainer.clip),
            "parameters": outcome.network.trainer.parameters,
            "epochs": fit.scores.shape[1],
            "best_epoch": int(fit.best[seed]),
            "after/loss": float(outcome.test[seed]),
            "validation/nats_per_step": float(fit.scores[seed, fit.best[seed] - 1]),
            "test/nats_per_step": float(outcome.test[seed]),
            **_sizes(plan),
            "seconds": fit.seconds / len(fit.scores),
            "diverged": next((told for told in fit.diverged if told.startswith(f"seed {seed} ")), None),
        }
        for seed in range(len(fit.scores))
    ]


def _sizes(plan: Plan) -> dict[str, int]:
    found = {f"{part}/pieces": len(pieces) for part, pieces in plan.pieces.items()}
    found |= {f"{part}/steps": sum(len(piece) - 1 for piece in pieces) for part, pieces in plan.pieces.items()}
    return found | {f"{part}/removed": count for part, count in plan.removed.items()}


def arrays(outcomes: Sequence[Outcome], drawn: np.ndarray) -> dict[str, np.ndarray]:
    """The curves as `run_files` has them; NAME/validation/loss [seeds, epochs]; the drawn piece [T, 88]."""
    found = {"drawn": drawn.astype(np.uint8)}
    for outcome in outcomes:
        found |= run_files.training_arrays(outcome.network.name, outcome.fit.history)
        found[f"{outcome.network.name}/validation/loss"] = outcome.fit.scores
    return found


def _nats(values: np.ndarray) -> str:
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.3f}"


COLUMNS = [
    report.Column("model", lambda row: row.model, right=False),
    report.Column("parameters", lambda row: row.parameters),
    report.Column("validation", lambda row: _nats(row.validation)),
    report.Column("test", lambda row: _nats(row.test)),
    report.Column("min", lambda row: row.minutes),
]


def rows(baselines: Mapping[str, Baseline], outcomes: Sequence[Outcome]) -> list[Row]:
    """The baselines, then the networks."""
    found = [Row(name, "", np.array([each.validation]), np.array([each.test]), "") for name, each in baselines.items()]
    for outcome in outcomes:
        fit = outcome.fit
        validation = fit.scores[np.arange(len(fit.scores)), fit.best - 1]
        minutes = f"{fit.seconds / 60 / len(fit.scores):.1f}"
        found.append(
            Row(outcome.network.name, f"{outcome.network.trainer.parameters:,}", validation, outcome.test, minutes)
        )
    return found


def title(plan: Plan) -> str:
    """Of the table."""
    return f"The next notes of {plan.source}: {len(plan.pieces['training'])} to learn from"


def caption(plan: Plan, seeds: int) -> str:
    """Of the table."""
    return (
        "Nats per step: the sum over 88 keys of the binary cross-entropy, its mean over all steps but each piece's "
        f"first, of all pieces together{f'; mean and standard deviation of {seeds} seeds' if seeds > 1 else ''}. "
        f"Minutes a seed. Left out, as they come in a later part: {plan.removed['training']} pieces of training, "
        f"{plan.removed['validation']} of validation."
    )


def sentences(baselines: Mapping[str, Baseline], outcomes: Sequence[Outcome]) -> list[str]:
    """What was found; computed from the measurements."""
    name = min(baselines, key=lambda each: baselines[each].test)
    reference = baselines[name].test
    best = best_of(outcomes)
    gain = reference - float(np.mean(best.test))
    found = [
        f"Best on validation: {best.network.name}, {np.mean(best.test):.3f} nats a step on the test part, "
        f"{abs(gain):.3f} {'below' if gain > 0 else 'above'}: {name} ({reference:.3f})."
    ]
    return found + [f"{outcome.network.name}: {told}." for outcome in outcomes for told in outcome.fit.diverged]


def best_of(outcomes: Sequence[Outcome]) -> Outcome:
    """The network with the least mean validation loss."""
    return min(outcomes, key=lambda outcome: float(np.mean(np.nanmin(outcome.fit.scores, axis=1))))
