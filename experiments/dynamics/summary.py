"""Results of all runs as records, arrays, a table, figures and a few sentences."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.common.figures import band, windows
from experiments.common.records import divergence_fields, task_fields, training_arrays
from experiments.common.run_folder import Table
from experiments.dynamics.config import Run
from experiments.dynamics.measurement import DYNAMICS, Outcome, Snapshot, measured_lags
from rnn_jax import plotting, report
from rnn_jax.diagnostics import fit_decay

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = 3  # in a row
LINEAR = 0.1  # exponents up to which an axis is linear
TICKS = [-3, -1, -0.3, -0.1, -0.05, 0, 0.05, 0.1, 0.3, 1, 3]
LOWEST = -5.0  # nats per step; a direction with a lower exponent vanishes within a step or two

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
    from scipy.stats import spearmanr

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


def figures(pairs: Sequence[Pair]) -> plotting.Drawings:
    """Returns caption and drawing of each figure, by file name."""
    return {
        "spectrum.png": ("Lyapunov spectra over the training", functools.partial(spectrum_figure, pairs)),
        "training.png": ("Largest exponent, gradient horizon and loss", functools.partial(training_figure, pairs)),
    }


def spectrum_figure(pairs: Sequence[Pair]) -> bytes:
    """Draws sorted exponents, a panel for each cell, a line for each checkpoint (median over seeds). Returns a PNG."""
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    rows = -(-len(pairs) // PANELS)
    figure = plotting.figure((11, 0.8 + 3.4 * rows))
    axes = figure.subplots(rows, min(PANELS, len(pairs)), sharey=True, squeeze=False)
    colors, scale = matplotlib.colormaps["viridis"], Normalize(0, pairs[0][1].steps[-1])
    for axis, (run, outcome) in zip(axes.flat, pairs, strict=False):
        for step, snapshot in zip(outcome.steps, outcome.snapshots, strict=True):
            exponents = np.median(snapshot["lyapunov"], axis=0)
            axis.plot(np.arange(1, len(exponents) + 1), exponents, marker=".", ms=3, color=colors(scale(step)))
        axis.axhline(0, color="black", lw=0.8)
        axis.axhline(-1 / run.task.dependency, color="crimson", lw=1, ls="--")
        n = outcome.snapshots[0]["lyapunov"].shape[1]
        axis.set(title=run.label, xlabel=f"i, of {n} exponents", xlim=(0, n + 1))
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(pairs) :]:
        axis.set_visible(False)
    shown = np.concatenate([np.ravel(each["lyapunov"]) for _, outcome in pairs for each in outcome.snapshots])
    _near_zero(axes[0, 0])
    axes[0, 0].set_ylim(max(LOWEST, np.min(shown)), max(LINEAR, 1.1 * np.max(shown)))
    for axis in axes[:, 0]:
        axis.set_ylabel(r"Lyapunov exponent $\lambda_i$ (nats/step)", gid=plotting.FORMULA)
    figure.colorbar(ScalarMappable(scale, colors), ax=axes, label="optimization step")
    run, outcome = pairs[0]
    figure.suptitle(
        f"Lyapunov spectrum over the training: {type(run.task).__name__}, T = {run.task.length}; median, seeds: "
        f"{len(outcome.history.loss)}\n"
        f"(a direction above the dashed line, -1/{run.task.dependency}, is remembered over {run.task.dependency} "
        "steps; -inf, of a ReLU that is off, is not drawn)"
    )
    return plotting.png(figure)


def training_figure(pairs: Sequence[Pair]) -> bytes:
    """Draws largest exponent, gradient horizon and loss over the steps; median and range over seeds. Returns a PNG."""
    figure = plotting.figure((9, 9.5))
    axes = figure.subplots(3, 1, sharex=True)
    for number, (run, outcome) in enumerate(pairs):
        color, steps = f"C{number}", np.array(outcome.steps)
        band(axes[0], steps, np.stack([largest(each) for each in outcome.snapshots], axis=1), color, run.label)
        band(axes[1], steps, np.stack([each["horizon"] for each in outcome.snapshots], axis=1), color, run.label)
        band(axes[2], *windows(outcome.history.loss, 10 * (len(outcome.steps) - 1)), color, run.label)
    task = pairs[0][0].task
    axes[0].axhline(0, color="black", lw=0.8)
    _near_zero(axes[0])
    axes[0].set_ylabel(r"largest exponent $\lambda_1$ (nats/step)", gid=plotting.FORMULA)
    axes[1].set(ylabel="horizon of the gradient (steps back)", ylim=(0, None))
    axes[2].axhline(task.baseline, color="black", lw=0.8, ls="--", label="baseline")
    axes[2].set(ylabel="training loss", yscale="log", xlabel="optimization step")
    axes[2].set_ylim(top=10 * task.baseline)  # an IRNN's first losses may be of any size
    for axis in axes:
        axis.grid(alpha=0.3)
    seeds = len(pairs[0][1].history.loss)
    figure.legend(*axes[2].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(f"{type(task).__name__}, T = {task.length}: median and range of {seeds} seeds")
    return plotting.png(figure)


def _near_zero(axis: "Axes") -> None:
    """Sets a scale that is linear near zero, the exponents that decide about memory, and logarithmic beyond."""
    from matplotlib.ticker import FixedLocator

    axis.set_yscale("symlog", linthresh=LINEAR)
    axis.yaxis.set_major_locator(FixedLocator(TICKS))
    axis.yaxis.set_major_formatter("{x:g}")
