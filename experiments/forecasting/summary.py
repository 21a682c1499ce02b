"""Results as records, arrays, a table and a few sentences."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.common import fitting
from experiments.common.forecasters import Row
from experiments.common.series import AUTOREGRESSION, Data
from experiments.forecasting.measurement import Results, Scores
from rnn_jax import report


def arrays(data: Data, results: Results, outcomes: Sequence[fitting.Outcome[Any]]) -> dict[str, np.ndarray]:
    """Returns the series, every forecast of the test set, scores for every step ahead, and training curves.

    A network's forecasts and scores are those of its ensemble.
    """
    origins = data.origins()
    named = {
        "series/values": data.series.values,
        "series/observed": data.series.observed,
        "origins": origins.points,
        "actual": origins.actual,
        "scored": origins.scored,
    }
    for name, result in results.items():
        named |= {f"{name}/{key}": array for key, array in result.output._asdict().items() if array is not None}
        named |= {f"{name}/test/{key}": array for key, array in result.scores._asdict().items()}
    return named | fitting.training_arrays(outcomes, "loss")


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


def caption(data: Data) -> str:
    """Returns the explanation of the columns."""
    fields = data.record()
    gaps = f", {fields['filled']} of them filled and not scored" if fields["filled"] else ""
    return (
        f"Errors 1 and {data.horizon} steps ahead and width in the units of the series; MASE, share of observations "
        f"inside the intervals, and width are means over the steps. {fields['training/points']} points to train on, "
        f"{fields['validation/points']} to validate, {fields['test/points']} to test{gaps}. Forecast quantity: "
        f"{data.transform.name}; order of the autoregression: {data.autoregression.order}.{data.layout()} "
        "A network's first row is the mean over its seeds.\n"
    )


def findings(results: Results, outcomes: Sequence[fitting.Outcome[Any]]) -> list[str]:
    """Returns how each network compares with the autoregression, and which networks beat each baseline throughout."""
    linear = results[AUTOREGRESSION].scores.mae
    networks = {name: result.scores.mae for name, result in results.items() if result.is_network}
    changes = [
        f"{name} {mae[0] / linear[0] - 1:+.0%} and {np.mean(mae) / np.mean(linear) - 1:+.0%}"
        for name, mae in networks.items()
    ]

    def better(mae: np.ndarray) -> str:
        return ", ".join(name for name, other in networks.items() if np.all(other < mae)) or "none"

    beaten = [f"{name}: {better(result.scores.mae)}" for name, result in results.items() if not result.is_network]
    return [
        f"MAE of each network, pooled over its seeds, against the autoregression's, 1 step ahead and mean over "
        f"{len(linear)}: {'; '.join(changes)}.",
        f"Networks with a lower MAE at every step than {'; than '.join(beaten)}.",
        *fitting.diverged(outcomes),
    ]
