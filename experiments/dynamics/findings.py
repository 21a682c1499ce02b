"""The findings in words: what training does to the spectrum, and whether that goes with learning."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.dynamics import quantities
from experiments.dynamics.measurement import Outcome
from experiments.dynamics.quantities import Pair, median_range

NEAR = 0.5  # a loss under this share of the baseline says that the dependency is in use


def sentences(pairs: Sequence[Pair]) -> list[str]:
    """What was found, a paragraph each; all of it computed from the measurements. Median [range] over seeds."""
    return [_largest(pairs), _memories(pairs), _spectrum(pairs), _learning(pairs), *_correlation(pairs)]


def _largest(pairs: Sequence[Pair]) -> str:
    told = []
    for run, outcome in pairs:
        first, last = (median_range(quantities.largest(look)) for look in (outcome.looks[0], outcome.looks[-1]))
        told.append(f"{run.name} {first} to {last}")
    lag = pairs[0][0].task.dependency
    ends = {run.name: float(np.median(quantities.largest(outcome.looks[-1]))) for run, outcome in pairs}
    edge = [name for name, end in ends.items() if abs(end) <= 2 / lag]
    chaotic = [name for name, end in ends.items() if end > 2 / lag]
    return (
        f"Largest Lyapunov exponent, nats per step, before to after training: {'; '.join(told)}. After training at "
        f"the edge, within 2/{lag} of zero: {', '.join(edge) or 'none'}; beyond it, chaotic: "
        f"{', '.join(chaotic) or 'none'}."
    )


def _memories(pairs: Sequence[Pair]) -> str:
    told = []
    for run, outcome in pairs:
        first, last = (median_range(quantities.memories(run, o), 0) for o in (outcome.looks[0], outcome.looks[-1]))
        told.append(f"{run.name} {first} to {last} of {outcome.looks[0].lyapunov.shape[1]}")
    lag = pairs[0][0].task.dependency
    return f"Directions that remember over {lag} steps (exponent above -1/{lag}): {'; '.join(told)}."


def _spectrum(pairs: Sequence[Pair]) -> str:
    """Whether the whole of the spectrum moves or its top alone."""
    told = []
    for run, outcome in pairs:
        ends = outcome.looks[0].lyapunov, outcome.looks[-1].lyapunov
        texts = []
        for of in (lambda e: e[:, 0], lambda e: np.median(e, axis=1)):
            first, last = (np.median(of(exponents)) for exponents in ends)
            texts.append(f"{first:.3f} to {last:.3f}")
        told.append(f"{run.name} {texts[0]} and {texts[1]}")
    return f"Training moves the largest exponent and the median one from: {'; '.join(told)} (medians over seeds)."


def _learning(pairs: Sequence[Pair]) -> str:
    """Where the largest exponent stood when the loss first fell below half of the baseline."""
    told, never = [], []
    for run, outcome in pairs:
        steps = [look.step for look in outcome.looks[1:]]
        loss = np.median([_loss(outcome, s) for s in range(len(outcome.history.loss))], axis=0)
        learnt = np.flatnonzero(loss < NEAR * run.task.baseline)
        if learnt.size:
            before, then = outcome.looks[learnt[0]], outcome.looks[learnt[0] + 1]
            told.append(
                f"{run.name} by step {steps[learnt[0]]} ({np.median(quantities.largest(before)):+.3f} at step "
                f"{before.step}, {np.median(quantities.largest(then)):+.3f} then)"
            )
        else:
            never.append(run.name)
    return (
        f"Median loss below half of the baseline, and the largest exponent one checkpoint earlier and then: "
        f"{'; '.join(told) or 'none'}. Never: {', '.join(never) or 'none'}."
    )


def _loss(outcome: Outcome, seed: int) -> np.ndarray:
    """The training loss up to each checkpoint but the first, over the second half of the way from the one before."""
    pieces = np.split(outcome.history.loss[seed], len(outcome.looks) - 1)
    return np.array([np.mean(piece[len(piece) // 2 :]) for piece in pieces])


def _correlation(pairs: Sequence[Pair]) -> list[str]:
    """Does what a network keeps at initialisation, or after training, tell its loss? Over all cells and seeds."""
    losses = np.concatenate([outcome.metrics["after"]["loss"] / run.task.baseline for run, outcome in pairs])
    if len(losses) < 3:
        return []
    told = []
    for moment, place in (("before", 0), ("after", -1)):
        exponents = np.concatenate([quantities.largest(outcome.looks[place]) for _, outcome in pairs])
        told.append(f"{_rank_correlation(exponents, losses):+.2f} {moment} training")
    return [
        f"Rank correlation of the largest exponent with the final loss, over {len(losses)} networks: "
        f"{', '.join(told)} (-1: the nearer to zero or above, the better it learnt)."
    ]


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, without ties."""
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    correlations: Any = np.corrcoef(ranks)
    return float(correlations[0, 1])
