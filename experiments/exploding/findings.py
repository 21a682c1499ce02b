"""The findings in words: where the gradient begins to explode, which trainings that undoes, what clipping mends."""

from collections.abc import Sequence

import numpy as np

from experiments.exploding import quantities
from experiments.exploding.boundary import critical_gain
from experiments.exploding.quantities import Findings, number
from experiments.exploding.survival import Outcome, not_finite_at


def sentences(found: Findings) -> list[str]:
    """What was found, a paragraph each; all of it computed from the measurements."""
    told = [_critical(found), _theory(found)]
    for activation in found.config.activations:
        told += _unclipped(found, activation) + _clipped(found, activation)
    return told


def _critical(found: Findings) -> str:
    kinds = dict.fromkeys((b.activation, b.matrix) for b in found.boundaries)
    told = [f"{matrix} {activation} {_critical_gain(found, activation, matrix)}" for activation, matrix in kinds]
    return f"At initialisation the gradient begins to grow backwards at the gain: {', '.join(told)}."


def _critical_gain(found: Findings, activation: str, matrix: str = "orthogonal") -> str:
    (boundary,) = (b for b in found.boundaries if (b.activation, b.matrix) == (activation, matrix))
    at = critical_gain(found.gains, np.median(boundary.slope, axis=1))
    return f"{at:.2f}" if np.isfinite(at) else "none among those measured"


def _theory(found: Findings) -> str:
    """The condition that suffices for vanishing, beside where it does; and the linear network's exactness."""
    above = sum(int(np.sum(b.slope > b.bound + 1e-3)) for b in found.boundaries)
    every = [b for b in found.boundaries if b.matrix == "orthogonal"]
    linear = max(float(np.max(np.abs(b.slope - b.at_rest))) for b in every if b.activation == "linear")
    vanish = [
        f"{b.matrix} {b.activation} {int(np.sum(b.slope < -1e-3))} ({int(np.sum(b.largest_singular_value < 1 - 1e-4))})"
        for b in found.boundaries
    ]
    return (
        f"Largest singular value below 1 suffices for vanishing: {above} of "
        f"{sum(b.slope.size for b in found.boundaries)} measured slopes lie above ln of it. It is far from needed: "
        f"vanishing networks, of {found.boundaries[0].slope.size} (those that it foretells): {', '.join(vanish)}. The "
        f"slope of the orthogonal linear network is ln g, within {linear:.0e} nats per step."
    )


def _unclipped(found: Findings, activation: str) -> list[str]:
    """Who diverged without clipping, when, and in which parameters first; who went on with no gradient left."""
    (outcome,) = (o for t, o in found.trainings if (t.activation, t.clipping) == (activation, "none"))
    squares = {g: quantities.square(outcome, i) for i, g in enumerate(found.gains)}
    lost = [
        f"{g:g} ({s.seeds - s.finite} of {s.seeds}, at step {s.diverged_at:.0f})"
        for g, s in squares.items()
        if s.finite < s.seeds
    ]
    told = (
        f"{activation}, no clipping, the boundary at initialisation being gain {_critical_gain(found, activation)}: "
        f"seeds meet NaN or infinity at {_gains(lost)}."
    )
    if lost:
        at = outcome.diverged_at
        first = [_first(outcome, i, s) for i, s in zip(*np.nonzero(at), strict=True)]
        counts = {name: first.count(name) for name in sorted(set(first), key=first.count, reverse=True)}
        told += f" Gradients first not finite: {'; '.join(f'{name} ({n})' for name, n in counts.items())}."
    largest = max(squares.values(), key=lambda s: s.largest_norm)
    shut = [f"{g:g} ({s.shut:.0%})" for g, s in squares.items() if s.fate(found.task.baseline) == "shut"]
    return [
        f"{told} The largest finite gradient norm, median over seeds, rises to {number(largest.largest_norm)}. Finite, "
        f"but thrown to where next to no gradient passes (share of activations): {_gains(shut)}."
    ]


def _first(outcome: Outcome, gain: int, seed: int) -> str:
    step = int(outcome.diverged_at[gain, seed])
    names = not_finite_at(outcome.history, gain, seed, step)
    if len(names) == len(outcome.history.grad_norms):
        return "all parameters at once"
    return ", ".join(names) or "only the norm of all"


def _clipped(found: Findings, activation: str) -> list[str]:
    """What each clipping saves of what was lost or shut without it, and what it cannot."""
    fates = {
        t.clipping: {g: quantities.square(o, i) for i, g in enumerate(found.gains)}
        for t, o in found.trainings
        if t.activation == activation
    }
    plain = fates.pop("none")
    troubled = [g for g, s in plain.items() if s.finite < s.seeds]
    told = []
    for clipping, squares in fates.items():
        by_fate = {
            fate: _gains([f"{g:g}" for g, s in squares.items() if s.fate(found.task.baseline) == fate])
            for fate in ("lost", "shut", "late")
        }
        told.append(
            f"{clipping} keeps {sum(squares[g].finite for g in troubled)} of "
            f"{sum(squares[g].seeds for g in troubled)} seeds at those gains finite, loses half or more at "
            f"{by_fate['lost']}, leaves shut {by_fate['shut']} and above the baseline {by_fate['late']}"
        )
    return [f"{activation}, with clipping: {'; '.join(told)}."] if told else []


def _gains(told: Sequence[str]) -> str:
    return f"gain {', '.join(told)}" if told else "no gain"
