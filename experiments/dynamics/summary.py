"""What a run leaves behind and shows: records, arrays, the table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console

from experiments.common import run_files
from experiments.dynamics import findings, quantities
from experiments.dynamics.config import Run
from experiments.dynamics.measurement import Look, Outcome, lags_of
from experiments.dynamics.quantities import Pair
from rnn_jax import report
from rnn_jax.diagnostics import fit_decay


def records(run: Run, outcome: Outcome) -> list[dict[str, Any]]:
    """One flat record a seed and checkpoint; exponents in nats per step."""
    solved = quantities.solved(run, outcome)
    found = []
    for seed in range(len(solved)):
        metrics = {m: {k: float(v[seed]) for k, v in each.items()} for m, each in outcome.metrics.items()}
        shared = run_files.record(run.name, seed, run.task, run.trainer, metrics, solved[seed])
        for look in outcome.looks:
            found.append(shared | {"cell": run.name, "definition": run.cell} | _of_look(run, look, seed))
    return found


def _of_look(run: Run, look: Look, seed: int) -> dict[str, Any]:
    exponents, decay = look.lyapunov[seed], fit_decay(look.reach[seed])
    return {
        "step": look.step,
        "lyapunov/largest": exponents[0],
        "lyapunov/median": np.median(exponents),
        "lyapunov/sum": np.sum(exponents),
        "lyapunov/memories": quantities.memories(run, look)[seed],
        **{
            f"log_singular_value/lag {k}": look.log_singular_values[seed, i, 0] for i, k in enumerate(lags_of(run.task))
        },
        "reach/slope": decay.slope,
        "reach/first_over_last": decay.first_over_last,
        "reach/horizon": look.horizon[seed],
        **{
            f"saturation/{name}/{share}": values[seed]
            for name, shares in look.saturation.items()
            for share, values in shares._asdict().items()
        },
    }


def arrays(pairs: Sequence[Pair]) -> dict[str, np.ndarray]:
    """The curves as `experiments.common.run_files` has them; NAME/dynamics/... [seeds, checkpoints, ...]."""
    kept: dict[str, np.ndarray] = {}
    for run, outcome in pairs:
        kept |= run_files.training_arrays(run.name, outcome.history)
        for moment, look in (("before", outcome.looks[0]), ("after", outcome.looks[-1])):
            kept |= run_files.moment_arrays(run.name, moment, {"last_step": {"total": look.reach}}, look.saturation, {})
        kept[f"{run.name}/dynamics/step"] = np.array([look.step for look in outcome.looks])
        kept[f"{run.name}/dynamics/lag"] = np.array(lags_of(run.task))
        for name in ("lyapunov", "log_singular_values", "reach", "horizon"):
            kept[f"{run.name}/dynamics/{name}"] = np.stack([getattr(look, name) for look in outcome.looks], axis=1)
    return kept


def _change(quantity: Any, digits: int) -> Any:
    """Text of a column: the median before and after training."""

    def text(pair: Pair) -> str:
        looks = pair[1].looks[0], pair[1].looks[-1]
        return "→".join(f"{np.median(quantity(pair[0], look)):.{digits}f}" for look in looks)

    return text


COLUMNS = [
    report.Column("cell", lambda p: p[0].name, right=False),
    report.Column("largest", _change(lambda _, look: quantities.largest(look), 3)),
    report.Column("median", _change(lambda _, look: np.median(look.lyapunov, axis=1), 2)),
    report.Column("modes", _change(quantities.memories, 0)),
    report.Column("ln sigma", _change(lambda _, look: quantities.kept(look), 1)),
    report.Column("horizon", _change(lambda _, look: look.horizon, 0)),
    report.Column("loss", lambda p: f"{np.median(p[1].metrics['after']['loss']):.4f}"),
    report.Column("solved", lambda p: f"{sum(quantities.solved(*p))}/{len(quantities.solved(*p))}"),
]


def show(console: Console, pairs: Sequence[Pair]) -> None:
    """Prints the table and the findings."""
    run = pairs[0][0]
    title = f"{type(run.task).__name__}, T = {run.task.length}; baseline {run.task.baseline:.4f}"
    caption = (
        "before→after training, medians over seeds. largest, median: Lyapunov exponents, nats per step. modes: "
        f"exponents above -1/{run.task.dependency}. ln sigma: largest singular value of the state's Jacobian over "
        f"{run.task.dependency} steps. horizon: steps back to which a hundredth of the gradient reaches.\n"
    )
    console.print(report.TextTables(COLUMNS, {title: pairs}, caption), highlight=False)
    for sentence in findings.sentences(pairs):
        console.print(f"- {sentence}", markup=False, highlight=False)
