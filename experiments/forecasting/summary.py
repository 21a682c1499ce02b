"""Results as records, arrays, a table, figures and a few sentences."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common import fitting
from experiments.common.evaluations import Result, Row, rows, series_table
from experiments.common.panel import Panel
from experiments.common.run_folder import Table
from experiments.common.series import AUTOREGRESSION, Data
from experiments.forecasting.measurement import Results, Scores
from rnn_jax import plotting, report
from rnn_jax.applications.series_forecaster import INTERVALS
from rnn_jax.significance import Difference

MAX_POINTS = 240  # points of the test set that are drawn
SHADES = (0.35, 0.18)  # opacity of each interval


def arrays(panel: Panel, results: Results, outcomes: Sequence[fitting.Outcome[Any]]) -> dict[str, np.ndarray]:
    """Returns the series, every forecast of the test set, scores for every step ahead, and training curves.

    A network's forecasts and scores are those of its ensemble. Names of several series' own arrays begin with theirs.
    """
    named: dict[str, np.ndarray] = {}
    for index, data in enumerate(panel.each):
        origins, prefix = data.origins(), f"{data.name}/" if panel.group else ""
        named |= {
            f"{prefix}series/values": data.series.values,
            f"{prefix}series/observed": data.series.observed,
            f"{prefix}origins": origins.points,
            f"{prefix}actual": origins.actual,
            f"{prefix}scored": origins.scored,
        }
        for name, result in results.items():
            forecasts = result.outputs[index]._asdict().items()
            named |= {f"{prefix}{name}/{key}": array for key, array in forecasts if array is not None}
    for name, result in results.items():
        named |= {f"{name}/test/{key}": np.asarray(array) for key, array in result.scores._asdict().items()}
    return named | fitting.training_arrays(outcomes, "loss")


def tables(panel: Panel, results: Results, outcomes: Sequence[fitting.Outcome[Any]]) -> list[Table]:
    """Returns the table of scores, that of margins, and of several series that of each."""
    data = panel.first
    title = f"{data.series.name} of {data.source}: 1 to {data.horizon} steps ahead"
    shown = [Table(columns(data), {title: rows(results)}, caption(panel)), margins(panel, results)]
    if panel.group:
        best = fitting.best_outcome(outcomes).network.name
        shown.append(series_table(panel, results, best, "MASE by series", lambda scores: float(np.mean(scores.mase))))
    return shown


def columns(data: Data) -> list[report.Column]:
    """Returns the table's columns."""

    def column(header: str, value: Callable[[Scores], Any], form: str = ".4g") -> report.Column:
        def text(row: Row) -> str:
            number = value(row.scores)
            return "" if np.isnan(number) else format(number, form)

        return report.Column(header, text)

    return [
        report.Column("model", lambda row: row.name, right=False),
        column("MAE, 1", lambda s: s.mae[0]),
        column("RMSE, 1", lambda s: s.rmse[0]),
        column(f"MAE, {data.horizon}", lambda s: s.mae[-1]),
        column(f"RMSE, {data.horizon}", lambda s: s.rmse[-1]),
        column("MASE", lambda s: np.mean(s.mase), ".3f"),
        column("in 80%", lambda s: np.mean(s.coverage[0]), ".0%"),
        column("in 95%", lambda s: np.mean(s.coverage[1]), ".0%"),
        column("width 95%", lambda s: np.mean(s.width[1])),
    ]


def caption(panel: Panel) -> str:
    """Returns the explanation of the columns."""
    fields, data = panel.record(), panel.first
    gaps = f", {fields['filled']} of them filled and not scored" if fields["filled"] else ""
    return (
        f"Errors 1 and {data.horizon} steps ahead and width in the units of the series; MASE, share of observations "
        f"inside the intervals, and width are means over the steps. {fields['training/points']} points to train on, "
        f"{fields['validation/points']} to validate, {fields['test/points']} to test{gaps}. Forecast quantity: "
        f"{data.transform.name}; order of the autoregression: {panel.orders}.{data.layout()}{panel.means} "
        "A network's first row is the mean over its seeds.\n"
    )


def margins(panel: Panel, results: Results) -> Table:
    """Returns the table of each model's MAE less that of the autoregression; of a network, that of its ensemble."""

    def text(place: int, row: Row) -> str:
        margin = Difference(*row.scores.margins[place])
        return f"{margin.text('.3g')}, {margin.verdict(lower_is_better=True)}"

    horizon, several = panel.first.horizon, len(panel.each) > 1
    steps = [report.Column(f"{h} ahead", functools.partial(text, i)) for i, h in enumerate((1, horizon))]
    others = [Row(name, result.scores) for name, result in results.items() if name != AUTOREGRESSION]
    caption = (
        "In brackets: 95 % interval by Diebold and Mariano's test, corrected as in Harvey et al. (1997), of each "
        "comparison alone; if it holds 0, it is a tie. It has no bounds if there are no more points than steps ahead.\n"
    )
    if several:
        caption = (
            "In brackets: 95 % interval by a paired t-test over the series, taken for independent, of each comparison "
            "alone; if it holds 0, it is a tie.\n"
        )
    model = report.Column("model", lambda row: row.name, right=False)
    title = f"{'MASE' if several else 'MAE'} less the autoregression's"
    return Table([model, *steps], {title: others}, caption)


def findings(results: Results, outcomes: Sequence[fitting.Outcome[Any]]) -> list[str]:
    """Returns how each network compares with the autoregression, and which networks beat each baseline throughout."""
    error = "mae" if len(results[AUTOREGRESSION].by_series) == 1 else "mase"
    errors = {name: getattr(result.scores, error) for name, result in results.items()}
    networks = {name: errors[name] for name, result in results.items() if result.is_network}
    linear = errors[AUTOREGRESSION]
    changes = [
        f"{name} {each[0] / linear[0] - 1:+.0%} and {np.mean(each) / np.mean(linear) - 1:+.0%}"
        for name, each in networks.items()
    ]

    def better(than: np.ndarray) -> str:
        return ", ".join(name for name, other in networks.items() if np.all(other < than)) or "none"

    beaten = [f"{name}: {better(each)}" for name, each in errors.items() if name not in networks]
    return [
        f"{error.upper()} of each network, pooled over its seeds, against the autoregression's, 1 step ahead and mean "
        f"over {len(linear)}: {'; '.join(changes)}.",
        f"Networks with a lower {error.upper()} at every step than {'; than '.join(beaten)}.",
        *fitting.diverged(outcomes),
    ]


def figures(panel: Panel, results: Results, outcomes: Sequence[fitting.Outcome[Any]]) -> plotting.Drawings:
    """Returns the caption and drawing of each figure, by file name."""
    data = panel.first
    of = f" of {data.name}" if panel.group else ""
    fed_back = [outcome for outcome in outcomes if outcome.network.trainer.model.horizon == 1]
    best = fitting.best_outcome(fed_back or outcomes)
    units = f"(units of {data.series.name})"
    errors = [_Panel(f"MAE {units}", lambda s: s.mae), _Panel(f"RMSE {units}", lambda s: s.rmse)]
    intervals = [
        _Panel("inside the 80% interval (%)", lambda s: 100 * s.coverage[0], 80),
        _Panel("inside the 95% interval (%)", lambda s: 100 * s.coverage[1], 95),
        _Panel(f"width of the 95% interval {units}", lambda s: s.width[1]),
    ]
    return {
        "forecasts.png": (f"Forecasts of the test set{of}", functools.partial(_forecasts, data, best)),
        "errors.png": (
            "Error by steps ahead, with the range over seeds",
            functools.partial(_by_step, data, results, errors),
        ),
        "coverage.png": ("Coverage and width of the intervals", functools.partial(_by_step, data, results, intervals)),
    }


def _forecasts(data: Data, outcome: fitting.Outcome[Result[Scores]]) -> bytes:
    """Draws a network's forecasts one step ahead, and all steps ahead from a few origins."""
    origins, (center, lower, upper) = data.origins(), outcome.test.outputs[0]
    count = min(MAX_POINTS, len(origins.points))
    points, observed = origins.points[:count] + 1, origins.actual[0, :count]
    figure = plotting.figure((11, 7.4))
    above, below = figure.subplots(2, 1, sharex=True, sharey=True)
    for axis in (above, below):
        axis.plot(points, observed, color="black", lw=1.1, label="observed")
        axis.set_ylabel(data.series.name)
        axis.grid(alpha=0.3)
    above.plot(points, center[0, :count], color="C0", lw=1, label="forecast")
    for low, high, probability, alpha in zip(lower, upper, INTERVALS, SHADES, strict=True):
        band: dict[str, Any] = {"color": "C0", "alpha": alpha, "lw": 0}
        above.fill_between(points, low[0, :count], high[0, :count], label=f"{probability:.0%} interval", **band)
        for start in range(0, count, max(data.horizon, 8)):
            steps = min(data.horizon, count - start)
            below.fill_between(points[start] + np.arange(steps), low[:steps, start], high[:steps, start], **band)
    for start in range(0, count, max(data.horizon, 8)):
        steps = min(data.horizon, count - start)
        below.plot(points[start] + np.arange(steps), center[:steps, start], color="C0", lw=1.3)
        below.axvline(points[start] - 0.5, color="grey", lw=0.6, ls=":")
    above.set_title(f"{outcome.network.name}: one step ahead")
    below.set_title(f"up to {data.horizon} steps ahead of each dotted line")
    data.label_time(below, points, 6)
    above.legend(frameon=False, ncols=4, loc="upper left")
    drawn = np.concatenate([observed, lower[-1, 0, :count], upper[-1, 0, :count]])
    drawn = drawn[np.isfinite(drawn)]  # a diverged network's are not
    margin = np.ptp(drawn)
    above.set_ylim(drawn.min() - 0.1 * margin, drawn.max() + 0.25 * margin)
    return plotting.png(figure)


class _Panel(NamedTuple):
    ylabel: str
    curve: Callable[[Scores], np.ndarray]
    expected: float | None = None  # None: an error or a width, on a logarithmic axis


def _by_step(data: Data, results: Results, panels: Sequence[_Panel]) -> bytes:
    """Draws curves over the steps ahead: a line for each baseline and ensemble, a band over a network's seeds."""
    figure = plotting.figure((1 + 4.2 * len(panels), 4.6))
    axes = figure.subplots(1, len(panels))
    steps = np.arange(1, data.horizon + 1)
    greys, colors = iter(("0.75", "0.55", "black")), iter(f"C{i % 10}" for i in range(len(results)))
    for name, result in results.items():
        color, style = (next(colors), "-") if result.is_network else (next(greys), "--")
        for axis, panel in zip(axes, panels, strict=True):
            curve = panel.curve(result.scores)
            if not np.isnan(curve).all():
                axis.plot(steps, curve, color=color, ls=style, marker="o", ms=3, label=name)
            if result.is_network:
                seeds = np.array([panel.curve(scores) for scores in result.per_seed])
                axis.fill_between(steps, seeds.min(axis=0), seeds.max(axis=0), color=color, alpha=0.12, lw=0)
    for axis, panel in zip(axes, panels, strict=True):
        axis.set(xlabel="steps ahead", ylabel=panel.ylabel, xticks=steps[:: -(-len(steps) // 14)])
        axis.grid(alpha=0.3, which="both")
        if panel.expected is None:
            axis.set_yscale("log")
        else:
            axis.axhline(panel.expected, color="black", lw=1, ls=":")
            axis.set_ylim(min(50, axis.get_ylim()[0]), 101)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return plotting.png(figure)
