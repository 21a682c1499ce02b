"""Margins: the test score of a model less that of a reference, with its 95 % interval.

A model has margins if its test result has `scored`: its main score on any choice of test items. The column of a table,
the fields of records and the words follow from it, in the unit of a `Metric`.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.common.fitting import Baseline, Outcome
from rnn_jax import significance
from rnn_jax.report import Column
from rnn_jax.significance import Difference

PARTS, LEAST_PART = 10, 1000  # of a text, and characters of each
NOTE = "In brackets: 95 % interval over test items and seeds, of each comparison alone; if it holds 0, it is a tie."


class Metric(NamedTuple):
    """How a score is shown."""

    unit: str
    factor: float = 1.0
    form: str = ".1f"  # of numbers
    lower_is_better: bool = False

    def words(self, difference: Difference, reference: str) -> str:
        """Returns a difference as in `+0.9 points (95 % interval -0.5 to 2.3) beside naive Bayes: a tie`."""
        value, low, high = (format(number, self.form) for number in difference)
        sign = "+" if difference.value > 0 else ""
        verdict = difference.verdict(self.lower_is_better)
        return f"{sign}{value} {self.unit} (95 % interval {low} to {high}) beside {reference}: {verdict}"

    def fields(self, difference: Difference, reference: str) -> dict[str, Any]:
        """Returns the fields of a record: reference, margin and its interval."""
        return {"reference": reference, **dict(zip(FIELDS, difference, strict=True))}


POINTS = Metric("points", 100)  # of a share
NATS = Metric("nats", form=".3f", lower_is_better=True)
FIELDS = ("test/margin", "test/margin_low", "test/margin_high")

Row = Outcome[Any] | Baseline[Any]  # their test results have `scored: significance.Scored`


def margin(row: Row, reference: Row, *, metric: Metric = POINTS) -> Difference:
    """Returns the main test score of a model less that of a reference, in the metric's unit."""
    return _margin(row, reference).scaled(metric.factor)


@functools.lru_cache(maxsize=64)  # records, table and findings ask for the same
def _margin(row: Row, reference: Row) -> Difference:
    return significance.bootstrap(row.test.scored, reference.test.scored)


def over_parts(first: np.ndarray, second: np.ndarray) -> Difference:
    """Returns the mean of losses [N] along a text less that of others, with its interval over parts of the text.

    Neighbouring losses depend on each other, parts of thousands of characters less so. Works of which the text holds
    only one or two are not resampled: another text may differ by more.
    """
    parts = max(1, min(PARTS, len(first) // LEAST_PART))
    means = ([part.mean() for part in np.array_split(losses, parts)] for losses in (first, second))
    return significance.paired(*map(np.array, means))


def reference(baselines: Sequence[Baseline[Any]]) -> Baseline[Any]:
    """Returns the baseline that the validation set chooses; of several the first."""
    return min(baselines, key=lambda row: float(np.mean(row.validation)))


def column(*comparisons: tuple[Sequence[Row], Row], metric: Metric = POINTS) -> Column:
    """Returns the column of the margins of rows over their reference, which has none itself; rows by reference."""
    texts = {
        row: margin(row, best, metric=metric).text(metric.form)
        for rows, best in comparisons
        for row in rows
        if row is not best
    }
    titles = {best.title for _, best in comparisons}
    beside = titles.pop() if len(titles) == 1 else "best baseline"
    return Column(f"{metric.unit} beside {beside}", lambda row: texts.get(row, ""))


def fields(row: Row, reference: Row, metric: Metric = POINTS) -> dict[str, Any]:
    """Returns the fields of a record about a margin, the same for all seeds; the reference has none."""
    return {} if row is reference else metric.fields(margin(row, reference, metric=metric), reference.title)


def words(row: Row, reference: Row, metric: Metric = POINTS) -> str:
    """Returns the margin in words."""
    return metric.words(margin(row, reference, metric=metric), reference.title)
