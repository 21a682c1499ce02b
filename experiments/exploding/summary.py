"""What a run leaves behind and shows: records, arrays, tables."""

import functools
from typing import Any

import jax
import numpy as np
from rich.console import Console

from experiments.common import run_files
from experiments.exploding import findings, quantities, survival
from experiments.exploding.boundary import Boundary
from experiments.exploding.config import MATRICES, Config, Training
from experiments.exploding.quantities import Findings, number
from experiments.exploding.survival import Outcome
from rnn_jax import report, tasks


def of_boundary(boundary: Boundary, gains: list[float], task: tasks.Task) -> list[dict[str, Any]]:
    """One flat record a gain and seed."""
    return [
        {
            "run": boundary.run_name(gain),
            "seed": seed,
            "dependency": task.dependency,
            "matrix": boundary.matrix,
            "activation": boundary.activation,
            "gain": gain,
            "before/slope": boundary.slope[i, seed],
            "before/largest_singular_value": boundary.largest_singular_value[i, seed],
            "theory/bound": boundary.bound[i, seed],
            "theory/at_rest": boundary.at_rest[i, seed],
        }
        for i, gain in enumerate(gains)
        for seed in range(boundary.slope.shape[1])
    ]


def of_training(
    job: Training, outcome: Outcome, gains: list[float], task: tasks.Task, config: Config
) -> list[dict[str, Any]]:
    """One flat record a gain and seed; `diverged_at` counts optimization steps from 1, None: it never did."""
    found = []
    end, shut = quantities.end_loss(outcome.history.loss), quantities.shut(outcome)
    for i, gain in enumerate(gains):
        for seed in range(config.seeds):
            at = int(outcome.diverged_at[i, seed])
            metrics = {m: {k: float(v[i, seed]) for k, v in each.items()} for m, each in outcome.metrics.items()}
            norms = outcome.history.grad_norm[i, seed]
            found.append(
                run_files.record(
                    job.run_name(gain), seed, task, job.trainer, metrics, not at and task.solved(metrics["after"])
                )
                | {
                    "matrix": "orthogonal",
                    "activation": job.activation,
                    "clipping": job.clipping,
                    "gain": gain,
                    "steps": config.steps,
                    "diverged_at": at or None,
                    "not_finite": survival.not_finite_at(outcome.history, i, seed, at) if at else None,
                    "end_loss": None if at else float(end[i, seed]),
                    "largest_grad_norm": float(np.max(norms[np.isfinite(norms)], initial=0)),
                    "clipped_percent": 100 * float(np.mean(outcome.history.clipped[i, seed, : at or None])),
                    "after/largest_singular_value": float(outcome.largest_singular_value[i, seed]),
                    "after/shut": float(shut[i, seed]),
                }
            )
    return found


def arrays(found: Findings) -> dict[str, np.ndarray]:
    """The curves, as `experiments.common.run_files` has them."""
    kept: dict[str, np.ndarray] = {}
    for boundary in found.boundaries:
        for i, gain in enumerate(found.gains):
            reach = {"last_step": {"total": boundary.reach[i]}}
            kept |= run_files.moment_arrays(boundary.run_name(gain), "before", reach, {}, {})
    for job, outcome in found.trainings:
        for i, gain in enumerate(found.gains):
            name = job.run_name(gain)
            kept |= run_files.training_arrays(name, jax.tree.map(lambda leaf, i=i: leaf[i], outcome.history))
            for moment, norms in outcome.reach.items():
                shares = jax.tree.map(lambda leaf, i=i: leaf[i], outcome.saturation[moment])
                kept |= run_files.moment_arrays(name, moment, {"last_step": {"total": norms[i]}}, shares, {})
    return kept


# The tables: a row is a gain's place.


def show(console: Console, found: Findings) -> None:
    """Prints the tables and the findings."""
    console.print(_boundary_table(found), highlight=False)
    console.print(_training_table(found), highlight=False)
    for sentence in findings.sentences(found):
        console.print(f"- {sentence}", markup=False, highlight=False)


def _boundary_table(found: Findings) -> Any:
    def median(values: np.ndarray) -> str:
        return f"{np.median(values):+.3f}"

    def slope(activation: str, row: tuple[str, int]) -> str:
        return median(of[row[0], activation].slope[row[1]])

    of = {(b.matrix, b.activation): b for b in found.boundaries}
    activations = list(dict.fromkeys(b.activation for b in found.boundaries))
    columns = [
        report.Column("gain", lambda row: f"{found.gains[row[1]]:g}"),
        *(report.Column(a, functools.partial(slope, a)) for a in activations),
        report.Column("at rest", lambda row: median(of[row[0], "linear"].at_rest[row[1]])),
        report.Column("bound", lambda row: median(of[row[0], "linear"].bound[row[1]])),
    ]
    sections = {f"{matrix} W_h": [(matrix, i) for i in range(len(found.gains))] for matrix in MATRICES}
    caption = (
        "Slope of ln ||dL/ds(T-k)|| over the lag k, nats per step, medians over seeds: measured for each activation; "
        "of the network at rest; and ln of the largest singular value, which it cannot exceed.\n"
    )
    return report.TextTables(columns, sections, caption)


def _training_table(found: Findings) -> Any:
    of = {(t.activation, t.clipping): outcome for t, outcome in found.trainings}
    clippings = list(dict.fromkeys(t.clipping for t, _ in found.trainings))

    def fate(clipping: str, row: tuple[str, int]) -> str:
        square = quantities.square(of[row[0], clipping], row[1])
        step = f"@{square.diverged_at:.0f}" if square.finite < square.seeds else ""
        return f"{square.finite}/{square.seeds}{step} {number(square.loss)}"

    columns = [
        report.Column("gain", lambda row: f"{found.gains[row[1]]:g}"),
        report.Column("largest", lambda row: number(quantities.square(of[row[0], "none"], row[1]).largest_norm)),
        report.Column("shut", lambda row: f"{quantities.square(of[row[0], 'none'], row[1]).shut:.0%}"),
        *(report.Column(c, functools.partial(fate, c)) for c in clippings),
    ]
    sections = {
        f"{activation}, SGD; baseline {found.task.baseline:.4f}": [(activation, i) for i in range(len(found.gains))]
        for activation in found.config.activations
    }
    caption = (
        f"Under each clipping: seeds finite after {found.config.steps} steps, @ the median step at which the others "
        "diverged, and the median loss at the end. largest: norm of a finite gradient without clipping; shut: "
        "activations that pass next to no gradient after training without clipping.\n"
    )
    return report.TextTables(columns, sections, caption)
