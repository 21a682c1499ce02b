"""Margins: the test score of a model less that of a reference, with its 95 % interval, in percentage points.

A model has margins if its test result has `scored`: its main score, between 0 and 1, on any choice of test items. The
column of a table, the fields of records and the words follow from it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.common.fitting import Baseline, Outcome
from rnn_jax import significance
from rnn_jax.report import Column
from rnn_jax.significance import Difference

NOTE = "In brackets: 95 % interval over test items and seeds, of each comparison alone; if it holds 0, it is a tie."


Row = Outcome[Any] | Baseline[Any]  # their test results have `scored: significance.Scored`


def margin(row: Row, reference: Row) -> Difference:
    """Returns the main test score of a model less that of a reference, in percentage points."""
    return significance.bootstrap(row.test.scored, reference.test.scored).scaled(100)


def reference(baselines: Sequence[Baseline[Any]]) -> Baseline[Any]:
    """Returns the baseline that the validation set chooses; of several the first."""
    return min(baselines, key=lambda row: float(np.mean(row.validation)))


def column(*comparisons: tuple[Sequence[Row], Row]) -> Column:
    """Returns the column of the margins of rows over their reference, which has none itself; rows by reference."""
    texts = {id(row): str(margin(row, best)) for rows, best in comparisons for row in rows if row is not best}
    titles = {best.title for _, best in comparisons}
    return Column(
        f"points beside {titles.pop() if len(titles) == 1 else 'best baseline'}", lambda row: texts.get(id(row), "")
    )


def fields(row: Row, reference: Row) -> dict[str, Any]:
    """Returns the fields of a record: reference, margin and its interval; the same for all seeds."""
    if row is reference:
        return {}
    return {"reference": reference.title, **dict(zip(FIELDS, margin(row, reference), strict=True))}


FIELDS = ("test/margin", "test/margin_low", "test/margin_high")


def words(row: Row, reference: Row) -> str:
    """Returns the margin in words, as in `+0.9 points (95 % interval -0.5 to 2.3) beside naive Bayes: a tie`."""
    difference = margin(row, reference)
    interval = f"95 % interval {difference.low:.1f} to {difference.high:.1f}"
    return f"{difference.value:+.1f} points ({interval}) beside {reference.title}: {difference.verdict()}"
