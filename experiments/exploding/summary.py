"""Results as records, arrays, tables and a few sentences."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from experiments.common.numbers import number
from experiments.common.records import moment_arrays, task_fields, training_arrays
from experiments.common.run_folder import Table
from experiments.exploding.boundary import Boundary, critical_gain
from experiments.exploding.config import MATRICES, Plan, Training
from experiments.exploding.survival import Outcome
from rnn_jax import report


@dataclasses.dataclass(frozen=True)
class Results:
    """Everything measured."""

    plan: Plan
    boundaries: list[Boundary]
    trainings: list[tuple[Training, Outcome]]


def boundary_records(plan: Plan, boundaries: Sequence[Boundary]) -> list[dict[str, Any]]:
    """Returns one flat record for each gain and seed of every boundary."""
    return [
        {
            "run": boundary.run_name(gain),
            "seed": seed,
            "dependency": plan.task.dependency,
            "matrix": boundary.matrix,
            "activation": boundary.activation,
            "gain": gain,
            "before/slope": boundary.slope[i, seed],
            "before/largest_singular_value": boundary.largest_singular_value[i, seed],
            "theory/bound": boundary.bound[i, seed],
            "theory/at_rest": boundary.at_rest[i, seed],
        }
        for boundary in boundaries
        for i, gain in enumerate(plan.gains)
        for seed in range(boundary.slope.shape[1])
    ]


def training_records(plan: Plan, job: Training, outcome: Outcome) -> list[dict[str, Any]]:
    """Returns one flat record for each gain and seed; `diverged_at` counts optimization steps from 1."""
    records = []
    for i, gain in enumerate(plan.gains):
        for seed in range(plan.config.seeds):
            at = int(outcome.diverged_at[i, seed])
            moments = outcome.moments.items()
            metrics = {m: {k: float(v[i, seed]) for k, v in each.metrics.items()} for m, each in moments}
            norms = outcome.history.grad_norm[i, seed]
            solved = not at and plan.task.solved(metrics["after"])
            records.append(
                {
                    **task_fields(job.run_name(gain), seed, plan.task, job.trainer, metrics, solved),
                    "matrix": "orthogonal",
                    "activation": job.activation,
                    "clipping": job.clipping,
                    "gain": gain,
                    "steps": plan.config.steps,
                    "diverged": bool(at),
                    "diverged_at": at or None,
                    "not_finite": outcome.not_finite_at(i, seed) if at else None,
                    "end_loss": None if at else float(outcome.end_loss[i, seed]),
                    "largest_grad_norm": float(np.max(norms[np.isfinite(norms)], initial=0)),
                    "clipped_percent": 100 * float(np.mean(outcome.history.clipped[i, seed, : at or None])),
                    "after/largest_singular_value": float(outcome.largest_singular_value[i, seed]),
                    "after/shut": float(outcome.shut[i, seed]),
                }
            )
    return records


def arrays(results: Results) -> dict[str, np.ndarray]:
    """Returns the curves, named as in `records`."""
    named: dict[str, np.ndarray] = {}
    for i, gain in enumerate(results.plan.gains):
        for boundary in results.boundaries:
            named[f"{boundary.run_name(gain)}/before/last_step/total"] = boundary.reach[i]
        for job, outcome in results.trainings:
            name = job.run_name(gain)
            named |= training_arrays(name, jax.tree.map(lambda leaf, i=i: leaf[i], outcome.history))
            for moment, each in outcome.moments.items():
                shares = jax.tree.map(lambda leaf, i=i: leaf[i], each.saturation)
                reach = {"last_step": {"total": each.total[i]}}
                named |= moment_arrays(name, moment, reach, shares, {})
    return named


# The tables: a row is the index of a gain.


def boundary_table(results: Results) -> Table:
    """Returns the table of slopes at initialisation."""

    def column(name: str, field: str, activation: str) -> report.Column:
        return report.Column(name, lambda row: f"{np.median(getattr(by_kind[row[0], activation], field)[row[1]]):+.3f}")

    gains = results.plan.gains
    by_kind = {(b.matrix, b.activation): b for b in results.boundaries}
    activations = list(dict.fromkeys(b.activation for b in results.boundaries))
    columns = [
        report.Column("gain", lambda row: f"{gains[row[1]]:g}"),
        *(column(activation, "slope", activation) for activation in activations),
        column("at rest", "at_rest", "linear"),
        column("bound", "bound", "linear"),
    ]
    caption = (
        "Slope of ln ||dL/ds(T-k)|| over the lag k, nats per step, medians over seeds: measured for each activation; "
        "of the network at rest; and its upper bound, ln of the largest singular value.\n"
    )
    sections = {f"{matrix} W_h": [(matrix, i) for i in range(len(gains))] for matrix in MATRICES}
    return Table(columns, sections, caption)


def training_table(results: Results) -> Table:
    """Returns the table of trainings by gain and clipping."""
    plan = results.plan
    squares = {
        (t.activation, t.clipping, i): outcome.square(i)
        for t, outcome in results.trainings
        for i in range(len(plan.gains))
    }

    def fate(clipping: str, row: tuple[str, int]) -> str:
        square = squares[row[0], clipping, row[1]]
        step = f"@{square.diverged_at:.0f}" if square.finite < square.seeds else ""
        return f"{square.finite}/{square.seeds}{step} {_number(square.loss)}"

    columns = [
        report.Column("gain", lambda row: f"{plan.gains[row[1]]:g}"),
        report.Column("largest", lambda row: _number(squares[row[0], "none", row[1]].largest_norm)),
        report.Column("shut", lambda row: f"{squares[row[0], 'none', row[1]].shut:.0%}"),
        *(report.Column(c, functools.partial(fate, c)) for c in plan.config.clippings),
    ]
    sections = {
        f"{activation}, SGD; baseline {plan.task.baseline:.4f}": [(activation, i) for i in range(len(plan.gains))]
        for activation in plan.config.activations
    }
    caption = (
        f"For each clipping: seeds finite after {plan.config.steps} steps, @ the median step at which the others "
        "diverged, and the median loss at the end. largest: norm of a finite gradient without clipping; shut: "
        "activations that pass next to no gradient after training without clipping.\n"
    )
    return Table(columns, sections, caption)


_number = functools.partial(number, digits=3, low=0.0)


def findings(results: Results) -> list[str]:
    """Returns the critical gains, the slopes beyond the bound, and the seeds that each clipping keeps finite."""
    gains = results.plan.gains
    critical = [
        f"{b.matrix} {b.activation} {critical_gain(gains, np.median(b.slope, axis=1)):.2f}" for b in results.boundaries
    ]
    above = sum(int(np.sum(b.slope > b.bound + 1e-3)) for b in results.boundaries)
    slopes = sum(b.slope.size for b in results.boundaries)
    finite = [f"{t.activation} {t.clipping} {np.mean(o.diverged_at == 0):.0%}" for t, o in results.trainings]
    return [
        f"At initialisation the gradient grows backwards from the gain: {', '.join(critical)} (nan: at none measured).",
        f"{above} of {slopes} measured slopes lie above ln of the largest singular value.",
        f"Seeds that stay finite, over all gains, by activation and clipping: {', '.join(finite)}.",
    ]
