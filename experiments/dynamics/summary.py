"""Results of all runs as records, arrays, a table and a few sentences."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from experiments.common.records import divergence_fields, task_fields, training_arrays
from experiments.common.run_folder import Table
from experiments.dynamics.config import Run
from experiments.dynamics.measurement import DYNAMICS, Outcome, Snapshot, measured_lags
from rnn_jax import report
from rnn_jax.diagnostics import fit_decay

Pair = tuple[Run, Outcome]


def largest(snapshot: Snapshot) -> np.ndarray:
    """Returns the largest Lyapunov exponent [seeds], nats per step."""
    return snapshot["lyapunov"][:, 0]


def memories(run: Run, snapshot: Snapshot) -> np.ndarray:
    """Returns how many directions [seeds] keep more than 1/e of a difference over the longest dependency D.

    Their exponents are above -1/D.
    """
    return np.sum(snapshot["lyapunov"] > -1 / run.task.dependency, axis=1)


def records(run: Run, outcome: Outcome) -> list[dict[str, Any]]:
    """Returns one flat record for each seed and checkpoint; exponents in nats per step."""
    rows = []
    for seed, solved in enumerate(outcome.solved):
        shared = {
            **task_fields(run.name, seed, run.task, run.trainer, outcome.metrics, solved),
            **divergence_fields(outcome.history, seed),
            "cell": run.name,
            "definition": run.trainer.model.cell,
        }
        for step, snapshot in zip(outcome.steps, outcome.snapshots, strict=True):
            rows.append({**shared, "step": step, **_quantities(run, snapshot, seed)})
    return rows


def _quantities(run: Run, snapshot: Snapshot, seed: int) -> dict[str, Any]:
    exponents, decay = snapshot["lyapunov"][seed], fit_decay(snapshot["reach"][seed])
    logs = snapshot["log_singular_values"][seed, :, 0]
    return {
        "lyapunov/largest": exponents[0],
        "lyapunov/median": np.median(exponents),
        "lyapunov/sum": np.sum(exponents),
        "lyapunov/memories": memories(run, snapshot)[seed],
        **{f"log_singular_value/lag {lag}": logs[i] for i, lag in enumerate(measured_lags(run.task))},
        "reach/slope": decay.slope,
        "reach/kept_share": decay.kept_share,
        "reach/horizon": snapshot["horizon"][seed],
        **{name: values[seed] for name, values in snapshot.items() if name.startswith("saturation/")},
    }


def arrays(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """Returns curves, reach and saturation before and after, and NAME/dynamics/... [seeds, checkpoints, ...]."""
    named: dict[str, np.ndarray] = {}
    for run, outcome in pairs:
        named |= training_arrays(run.name, outcome.history)
        for moment, each in (("before", outcome.snapshots[0]), ("after", outcome.snapshots[-1])):
            named[f"{run.name}/{moment}/last_step/total"] = each["reach"]
            named |= {f"{run.name}/{moment}/{name}": v for name, v in each.items() if name.startswith("saturation/")}
        named[f"{run.name}/dynamics/step"] = np.array(outcome.steps)
        named[f"{run.name}/dynamics/lag"] = np.array(measured_lags(run.task))
        for name in DYNAMICS:
            named[f"{run.name}/dynamics/{name}"] = np.stack([each[name] for each in outcome.snapshots], axis=1)
    return named


def _change(quantity: Callable[[Run, Snapshot], np.ndarray], digits: int) -> Any:
    """Returns the text function of a column: the median before and after training."""

    def text(pair: Pair) -> str:
        ends = pair[1].snapshots[0], pair[1].snapshots[-1]
        return "→".join(f"{np.median(quantity(pair[0], each)):.{digits}f}" for each in ends)

    return text


COLUMNS = [
    report.Column("cell", lambda p: p[0].label, right=False),
    report.Column("largest", _change(lambda _, each: largest(each), 3)),
    report.Column("median", _change(lambda _, each: np.median(each["lyapunov"], axis=1), 2)),
    report.Column("modes", _change(memories, 0)),
    report.Column("ln sigma", _change(lambda _, each: each["log_singular_values"][:, -1, 0], 1)),
    report.Column("horizon", _change(lambda _, each: each["horizon"], 0)),
    report.Column("loss", lambda p: f"{np.median(p[1].metrics['after']['loss']):.4f}"),
    report.Column("solved", lambda p: f"{sum(p[1].solved)}/{len(p[1].solved)}"),
]


def table(pairs: Sequence[Pair]) -> Table:
    """Returns the table of all runs."""
    task, lag = pairs[0][0].task, pairs[0][0].task.dependency
    title = f"{type(task).__name__}, T = {task.length}; baseline {task.baseline:.4f}"
    caption = (
        "before→after training, medians over seeds. largest, median: Lyapunov exponents, nats per step. modes: "
        f"exponents above -1/{lag}. ln sigma: largest singular value of the state's Jacobian over {lag} steps. "
        "horizon: steps back to which a hundredth of the gradient reaches.\n"
    )
    return Table(COLUMNS, {title: pairs}, caption)


def findings(pairs: Sequence[Pair]) -> list[str]:
    """Returns which networks end at the edge of stability, and the correlation of exponent and loss."""
    lag = pairs[0][0].task.dependency
    ends = {run.label: float(np.median(largest(outcome.snapshots[-1]))) for run, outcome in pairs}
    edge = ", ".join(name for name, end in ends.items() if abs(end) <= 2 / lag) or "none"
    chaotic = ", ".join(name for name, end in ends.items() if end > 2 / lag) or "none"
    return [
        f"Largest exponent after training within 2/{lag} of zero: {edge}; beyond it, chaotic: {chaotic}.",
        *_correlation(pairs),
    ]


def _correlation(pairs: Sequence[Pair]) -> list[str]:
    """Returns the rank correlation of the largest exponent with the final loss, over all cells and seeds."""
    losses = np.concatenate([outcome.metrics["after"]["loss"] / run.task.baseline for run, outcome in pairs])
    if len(losses) < 3:
        return []
    texts = []
    for moment, place in (("before", 0), ("after", -1)):
        exponents = np.concatenate([largest(outcome.snapshots[place]) for _, outcome in pairs])
        texts.append(f"{spearmanr(exponents, losses).statistic:+.2f} {moment} training")
    return [
        f"Rank correlation of the largest exponent with the final loss, over {len(losses)} networks: "
        f"{', '.join(texts)} (-1: the nearer to zero or above, the lower the loss)."
    ]
