"""Evaluations of forecasters on each series of a panel, pooled: results, records, rows of tables."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import numpy as np

from experiments.common import fitting
from experiments.common.panel import Panel
from experiments.common.run_folder import Table
from experiments.common.series import AUTOREGRESSION, Data
from rnn_jax import report
from rnn_jax.applications import Application
from rnn_jax.models import Forecaster

Scores = TypeVar("Scores")
Record = dict[str, Any]
ENDS = 5  # series at either end of a table of many


@dataclasses.dataclass(frozen=True, eq=False)
class Result(Generic[Scores]):
    """Test results of a baseline, or of a network's seeds and of their ensemble."""

    outputs: list[Any]  # for each series forecasts or anomaly scores, of the ensemble
    scores: Scores  # of the ensemble, pooled over the series
    per_seed: list[Scores]  # likewise; empty for a baseline
    by_series: list[list[Scores]]  # for each series the scores of the ensemble, then of each seed

    @property
    def is_network(self) -> bool:
        return bool(self.per_seed)


@dataclasses.dataclass(frozen=True)
class Evaluation(Generic[Scores]):
    """How models are evaluated on the test set of a series.

    Args:
      baselines: output of each baseline, such as its forecasts.
      predict: function of (model, params [seeds, ...], key) that returns the output of the ensemble, then of each seed.
      score: function from an output to scores, a pytree.
      flat: function from scores to fields of a record.
      fields: further fields of every record.
    """

    baselines: Mapping[str, Any]
    predict: Callable[[Forecaster, Any, jax.Array], Sequence[Any]]
    score: Callable[[Any], Scores]
    flat: Callable[[Scores], Mapping[str, float]]
    fields: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Evaluations(Generic[Scores]):
    """How models are evaluated on the test sets of a panel.

    Args:
      each: evaluation on each series.
      pool: function from the scores of several series to pooled ones.
      application: function of a model and the scores of one seed, for each series, that returns what `--save_model`
        writes.
    """

    each: Sequence[Evaluation[Scores]]
    pool: Callable[[Sequence[Scores]], Scores]
    application: Callable[[Forecaster, Sequence[Scores]], Application]

    def result(self, outputs: Sequence[Sequence[Any]]) -> Result[Scores]:
        """Returns the result of outputs [series][members]: those of an ensemble and its seeds, or of a baseline."""
        by_series = [[one.score(output) for output in some] for one, some in zip(self.each, outputs, strict=True)]
        first, *seeds = (
            each[0] if len(each) == 1 else self.pool(each) for each in map(list, zip(*by_series, strict=True))
        )
        return Result([some[0] for some in outputs], first, seeds, by_series)

    def baselines(self) -> dict[str, Result[Scores]]:
        """Returns the results of the baselines by name."""
        return {name: self.result([[one.baselines[name]] for one in self.each]) for name in self.each[0].baselines}

    def predict(self, model: Forecaster, params: Any, key: jax.Array) -> Result[Scores]:
        """Returns the result of a network; the same numbers are drawn for each series."""
        return self.result([one.predict(model, params, key) for one in self.each])

    def baseline_records(self, panel: Panel, name: str, result: Result[Scores]) -> list[Record]:
        """Returns the flat record of a baseline and, of several series, one for each."""
        own = [_linear_fields(data) if name == AUTOREGRESSION else {} for data in panel.each]
        fields = panel.record() | self.each[0].fields | ({} if panel.group else own[0])
        pooled = fitting.baseline_record(name, **fields, **self.each[0].flat(result.scores))
        records = self._of_each(panel, [pooled], [[scores] for scores, *_ in result.by_series])
        return [pooled, *({**record, **each} for record, each in zip(records, own, strict=bool(panel.group)))]

    def records(self, panel: Panel, outcome: fitting.Outcome[Result[Scores]]) -> list[Record]:
        """Returns flat records: one for each seed and, if there are several, one for their ensemble, a run of its own.

        Of several series these are pooled, and the records of each series follow.
        """
        flat, result = self.each[0].flat, outcome.test
        fields = panel.record() | self.each[0].fields
        per_seed = fitting.fit_records(outcome, {"loss": outcome.validation}, {}, **fields)
        pooled = [{**record, **flat(scores)} for record, scores in zip(per_seed, result.per_seed, strict=True)]
        if len(pooled) > 1:
            left = ("best_epoch", "validation/loss", "diverged_at")
            shared = {k: v for k, v in pooled[0].items() if k not in left}
            name = f"{outcome.network.name}, ensemble"
            diverged = any(record["diverged"] for record in pooled)
            ensemble = {"run": name, "label": name, "seconds": outcome.fit.seconds, "diverged": diverged}
            pooled.append({**shared, **ensemble, **flat(result.scores)})
        members = [[*seeds, ensemble_scores][: len(pooled)] for ensemble_scores, *seeds in result.by_series]
        return [*pooled, *self._of_each(panel, pooled, members)]

    def _of_each(self, panel: Panel, pooled: Sequence[Record], members: Sequence[Sequence[Scores]]) -> list[Record]:
        """Returns the records of each of several series; a run's name ends with that of its series."""
        records = []
        for data, one, each in zip(panel.each, self.each, members, strict=True):
            for record, scores in zip(pooled if panel.group else [], each, strict=bool(panel.group)):
                kept: Record = {k: record[k] for k in ("seed", "diverged") if k in record}
                kept["run"] = f"{record['run']}, {data.name}"
                records.append({**kept, **data.record(), **one.fields, **one.flat(scores)})
        return records


def _linear_fields(data: Data) -> Record:
    linear = data.autoregression
    return {"order": linear.order, "parameters": linear.parameters, "validation/mae": data.validation_mae}


class Row(NamedTuple):
    """Row of a table."""

    name: str
    scores: Any


def rows(results: Mapping[str, Result[Any]]) -> list[Row]:
    """Returns a row for each model, a network's being the mean over its seeds, and one for each ensemble of several."""
    table = []
    for name, result in results.items():
        mean = jax.tree.map(lambda *values: np.mean(values, axis=0), *(result.per_seed or [result.scores]))
        table.append(Row(name, mean))
        if len(result.per_seed) > 1:
            table.append(Row("  ensemble", result.scores))
    return table


def series_table(
    panel: Panel, results: Mapping[str, Result[Any]], best: str, title: str, value: Callable[[Any], float]
) -> Table:
    """Returns the table of the series with the least and the greatest values, and of the pooled ones.

    Args:
      panel: several series.
      results: results by name; of a network the ensemble's is shown.
      best: name of the network by which the series are ordered.
      title: title of the table.
      value: function from scores to the number that is shown.
    """
    order = sorted(range(len(panel.each)), key=lambda i: value(results[best].by_series[i][0]))
    cut = len(order) > 2 * ENDS
    shown: list[int | None] = [*(order[:ENDS] + order[-ENDS:] if cut else order), None]

    def text(name: str, index: int | None) -> str:
        result = results[name]
        return f"{value(result.scores if index is None else result.by_series[index][0]):.3f}"

    def rows_of(index: int | None) -> str:
        chosen = panel.each if index is None else [panel.each[index]]
        return f"{sum(len(data.series.values) for data in chosen):,}"

    columns = [
        report.Column("series", lambda i: f"all {len(order):,}" if i is None else str(panel.each[i].name), right=False),
        report.Column("rows", rows_of),
        *(report.Column(name, functools.partial(text, name)) for name in results),
    ]
    which = (
        f"The {ENDS} series with the least and the {ENDS} with the greatest" if cut else "All series in the order of"
    )
    caption = f"{which} number of {best}; a network's is that of its ensemble. Last row: pooled.\n"
    return Table(columns, {title: shown}, caption)


def mean_over_series(each: Sequence[Any]) -> Any:
    """Returns the mean of scores over series, of those that have one; an infinite one is not left out."""

    def mean(*values: Any) -> Any:
        known = ~np.isnan(values)
        sums, counts = np.sum(np.where(known, values, 0), axis=0), known.sum(axis=0)
        return np.divide(sums, counts, out=np.full(np.shape(sums), np.nan), where=counts > 0)[()]

    return jax.tree.map(mean, *each)
