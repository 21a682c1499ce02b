"""The figures: forecasts of the test part, errors over the steps ahead, and how often the intervals hold."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.forecasting.config import Data
from experiments.forecasting.measurement import AUTOREGRESSION, Outcome
from experiments.forecasting.rolling import INTERVALS
from rnn_jax import plotting

SHOWN = 240  # points of the test part at the most
TICKS = 6
CAPTIONS = {
    "forecasts": "The test part, forecast one step ahead and from a few origins",
    "errors": "Error over the steps ahead",
    "coverage": "Coverage and width of the intervals",
}


def forecasts(data: Data, outcomes: Sequence[Outcome]) -> bytes:
    """Of the network whose seeds are best on validation among those that feed back, else the first. Returns a PNG."""
    networks = [o for o in outcomes if o.network]
    fed_back = [o for o in networks if not o.name.startswith("direct")] or networks[:1]
    best = min(fed_back, key=lambda o: float(np.mean(o.details["validation/loss"])))
    origins, predicted = data.origins("test"), best.predicted
    assert predicted.lower is not None
    assert predicted.upper is not None
    count = min(SHOWN, len(origins.places))
    places = origins.places[:count] + 1
    figure, (above, below) = _figure((11, 7.4), 2, 1, shared=True)
    for axis in (above, below):
        axis.plot(places, origins.actual[0, :count], color="black", lw=1.1, label="observed")
        axis.set_ylabel(data.series.name)
        axis.grid(alpha=0.3)
    above.set_title(f"{best.name}, ensemble: one step ahead")
    above.plot(places, predicted.center[0, :count], color="C0", lw=1, label="forecast")
    for i, shade in zip(range(len(INTERVALS)), (0.35, 0.18), strict=True):
        low, high = predicted.lower[i], predicted.upper[i]
        above.fill_between(places, low[0, :count], high[0, :count], color="C0", alpha=shade, lw=0, label=_in(i))
        for start in range(0, count, max(data.horizon, 8)):
            steps = min(data.horizon, count - start)
            span = places[start] + np.arange(steps)
            below.fill_between(span, low[:steps, start], high[:steps, start], color="C0", alpha=shade, lw=0)
    for start in range(0, count, max(data.horizon, 8)):
        steps = min(data.horizon, count - start)
        below.plot(places[start] + np.arange(steps), predicted.center[:steps, start], color="C0", lw=1.3)
        below.axvline(places[start] - 0.5, color="grey", lw=0.6, ls=":")
    below.set_title(f"the same, up to {data.horizon} steps ahead, from the dotted lines")
    ticks = places[:: max(1, count // TICKS)]
    below.set_xticks(ticks, [data.series.labels[i] for i in ticks])
    below.set_xlabel("time (units)" if data.source.startswith("Mackey") else "row, by its label")
    above.legend(frameon=False, ncols=4, loc="upper left")
    shown = [origins.actual[0, :count], predicted.lower[-1, 0, :count], predicted.upper[-1, 0, :count]]
    low, high = min(map(np.min, shown)), max(map(np.max, shown))
    above.set_ylim(low - 0.1 * (high - low), high + 0.25 * (high - low))
    return plotting.png(figure)


def errors(data: Data, outcomes: Sequence[Outcome]) -> bytes:
    """MAE and RMSE of every model over the steps ahead; of a network the range of its seeds, too. Returns a PNG."""
    figure, axes = _figure((11, 4.6), 1, 2)
    steps = np.arange(1, data.horizon + 1)
    for axis, score in zip(axes, ("mae", "rmse"), strict=True):
        for outcome, (color, style) in zip(outcomes, _looks(outcomes), strict=True):
            label = f"{outcome.name}, ensemble" if outcome.network else outcome.name
            axis.plot(steps, getattr(outcome.scores, score), color=color, ls=style, marker="o", ms=3, label=label)
            if outcome.network:
                each = np.array([getattr(s, score) for s in outcome.of_seeds])
                axis.fill_between(steps, each.min(axis=0), each.max(axis=0), color=color, alpha=0.12, lw=0)
        axis.set(xlabel="steps ahead", ylabel=f"{score.upper()} (units of {data.series.name})", yscale="log")
        axis.grid(alpha=0.3, which="both")
        _step_ticks(axis, data.horizon)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return plotting.png(figure)


def coverage(data: Data, outcomes: Sequence[Outcome]) -> bytes:
    """Share of what fell into the intervals beside what should, and their width. Returns a PNG."""
    figure, axes = _figure((13, 4.6), 1, 3)
    steps = np.arange(1, data.horizon + 1)
    with_intervals = [o for o in outcomes if o.predicted.lower is not None]
    looks = dict(zip([o.name for o in outcomes], _looks(outcomes), strict=True))
    for outcome in with_intervals:
        color, style = looks[outcome.name]
        label = f"{outcome.name}, ensemble" if outcome.network else outcome.name
        for i, axis in enumerate(axes[:2]):
            axis.plot(steps, 100 * outcome.scores.coverage[i], color=color, ls=style, marker="o", ms=3, label=label)
        axes[2].plot(steps, outcome.scores.width[-1], color=color, ls=style, marker="o", ms=3)
    for i, axis in enumerate(axes[:2]):
        axis.axhline(100 * INTERVALS[i], color="black", lw=1, ls=":")
        axis.set(title=f"intervals of {INTERVALS[i]:.0%}", ylabel="observed inside (%)")
        axis.set_ylim(min(50, axis.get_ylim()[0]), 101)
    axes[2].set(title=f"width of those of {INTERVALS[-1]:.0%}", ylabel=f"units of {data.series.name}", yscale="log")
    for axis in axes:
        axis.set_xlabel("steps ahead")
        axis.grid(alpha=0.3, which="both")
        _step_ticks(axis, data.horizon)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
    return plotting.png(figure)


FIGURES: dict[str, Callable[[Data, Sequence[Outcome]], bytes]] = {
    "forecasts": forecasts,
    "errors": errors,
    "coverage": coverage,
}


def _in(i: int) -> str:
    return f"{INTERVALS[i]:.0%} interval"


def _looks(outcomes: Sequence[Outcome]) -> list[tuple[str, str]]:
    """Color and line style: networks in colors, opponents in greys, the autoregression in black."""
    greys = iter(("0.75", "0.55"))
    colors = iter(f"C{i % 10}" for i in range(len(outcomes)))
    found = []
    for outcome in outcomes:
        if outcome.network:
            found.append((next(colors), "-"))
        else:
            found.append(("black" if outcome.name == AUTOREGRESSION else next(greys), "--"))
    return found


def _step_ticks(axis: Axes, horizon: int) -> None:
    axis.set_xticks(np.arange(1, horizon + 1, max(1, -(-horizon // 14))))


def _figure(size: tuple[float, float], rows: int, columns: int, shared: bool = False) -> tuple[Figure, list[Axes]]:
    figure = plotting.figure(size)
    return figure, list(figure.subplots(rows, columns, squeeze=False, sharex=shared, sharey=shared).ravel())
