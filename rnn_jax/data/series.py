"""A series of numbers from a CSV file, its gaps, and its splits in time."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax import checks
from rnn_jax.data.number_table import MISSING, Table, index_of, not_finite, number, read_table
from rnn_jax.data.text import SPLITS, check_shares
from rnn_jax.data.time_axis import Step, is_date, read_times, regular_places


class Series(NamedTuple):
    """Equally spaced numbers.

    Attributes:
      name: name of the column.
      labels: labels of the time axis as written in the file, such as dates, or else the numbers 1 to N.
      values: numbers, float64 [N].
      observed: booleans [N], False if the number, or that of a covariate, is interpolated.
      delimiter: semicolon, tab or comma between the columns of the file; None if there is one column, or no file.
      decimal: decimal sign of the file, point or comma; None if there is no file.
      covariates: names of the further columns.
      extra: their numbers, float64 [N, covariates]; None if there are none.
      times: dates of the labels, datetime64[s] [N]; None if they are no dates.
      step: distance between two dates.
    """

    name: str
    labels: tuple[str, ...]
    values: np.ndarray
    observed: np.ndarray
    delimiter: str | None = None
    decimal: str | None = None
    covariates: tuple[str, ...] = ()
    extra: np.ndarray | None = None
    times: np.ndarray | None = None
    step: Step | None = None


class SplitEnds(NamedTuple):
    """The end of each split of a series: training is [:training], validation [training:validation], test the rest."""

    training: int
    validation: int
    test: int


def read_series(
    path: str | Path,
    column: str | None = None,
    longest_gap: int = 0,
    delimiter: str | None = None,
    decimal: str | None = None,
    covariates: Sequence[str] = (),
) -> Series:
    r"""Reads one column of a CSV file, with or without a header, and further ones as covariates.

    Semicolons, tabs or commas delimit cells, and the decimal sign is a point or a comma. Both are found together; a
    file that can be read in two ways is refused. Thousands separators are not allowed.

    The first row is a header if none of its cells is a number; otherwise the columns are named 1, 2, ... The first
    other column of dates in ISO 8601 (2024-01, 2024-01-31, 2024-01-31 13:00), or the first other column, gives the
    labels. Dates must be in order and at equal steps: seconds, days, business days, months. Empty cells, NA, NaN and
    the like are missing numbers, and so are those of missing dates.

    A missing number is interpolated between the numbers before and *after* its gap. Do not forecast from inside a gap:
    the interpolation has seen the future. `observed` marks the gaps.

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sales.csv"
    >>> _ = path.write_text("month,sales\n2024-01,10\n2024-02,NA\n2024-03,14\n")
    >>> series = data.read_series(path, longest_gap=1)
    >>> series.values.tolist(), series.observed.tolist(), str(series.step)
    ([10.0, 12.0, 14.0], [True, False, True], '1 month')

    Args:
      path: file in UTF-8.
      column: name of the column; None means the last one with more numbers than other cells.
      longest_gap: largest number of consecutive missing numbers to interpolate linearly. The first and the last number
        must not be missing.
      delimiter: semicolon, tab or comma; None finds it.
      decimal: decimal sign, point or comma; None finds it.
      covariates: names of further columns of numbers.

    Raises:
      ValueError: with the path, and the line if there is one, if the file cannot be read, is not UTF-8, holds no
        numbers, can be read in two ways, a row has more or fewer cells than the first, a column is missing or not
        unique, a cell is not a finite number, a gap is longer, or the dates are of different forms, repeat or are not
        in order.
    """
    checks.integer_at_least(0, longest_gap, "read_series: longest_gap")
    table = read_table(path, column, delimiter, decimal)
    columns, label = _columns(path, table, covariates, ())
    return _series(path, table, columns, label, longest_gap)


def read_series_by(
    path: str | Path,
    group: Sequence[str],
    column: str | None = None,
    longest_gap: int = 0,
    delimiter: str | None = None,
    decimal: str | None = None,
    covariates: Sequence[str] = (),
) -> dict[str, Series]:
    r"""Reads all series of a CSV file in long form: a row for each step of each series, which some columns name.

    Each series is read as by `read_series`, with a time axis of its own. Rows of different series may alternate.

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sales.csv"
    >>> _ = path.write_text("day,store,sales\n2024-01-01,A,1\n2024-01-01,B,7\n2024-01-02,A,2\n2024-01-02,B,8\n")
    >>> {name: series.values.tolist() for name, series in data.read_series_by(path, ["store"]).items()}
    {'A': [1.0, 2.0], 'B': [7.0, 8.0]}

    Args:
      path: file in UTF-8.
      group: names of the columns whose cells name a row's series.
      column: name of the column; None means the last other one with more numbers than other cells.
      longest_gap: largest number of consecutive missing numbers to interpolate linearly.
      delimiter: semicolon, tab or comma; None finds it.
      decimal: decimal sign, point or comma; None finds it.
      covariates: names of further columns of numbers.

    Returns:
      Series by name, in the order of their first rows; the cells of several columns are joined by a comma.

    Raises:
      ValueError: as `read_series`, with the name of the series; also if a row's cell in `group` is empty.
    """
    checks.integer_at_least(0, longest_gap, "read_series_by: longest_gap")
    table = read_table(path, column, delimiter, decimal, group)
    columns, label = _columns(path, table, covariates, group)
    naming = [index_of(path, table.names, name) for name in group]
    places: dict[str, list[int]] = {}
    for place, (line, row) in enumerate(zip(table.lines, table.rows, strict=True)):
        cells = [row[i].strip() for i in naming]
        if not all(cells):
            empty = group[cells.index("")]
            raise ValueError(f"{path}, line {line}: {empty!r} must name a series, got an empty cell")
        places.setdefault(", ".join(cells), []).append(place)
    series = {}
    for name, some in places.items():
        rows, lines = [table.rows[i] for i in some], [table.lines[i] for i in some]
        try:
            series[name] = _series(
                path, dataclasses.replace(table, rows=rows, lines=lines), columns, label, longest_gap
            )
        except ValueError as error:
            raise ValueError(f"{error} (series {name!r})") from error
    return series


def _columns(
    path: str | Path, table: Table, covariates: Sequence[str], group: Sequence[str]
) -> tuple[list[int], int | None]:
    """Returns the indices of the target and its covariates, and that of the labels."""
    columns = [table.index, *(index_of(path, table.names, name) for name in covariates)]
    used = [*columns, *(index_of(path, table.names, name) for name in group)]
    if len(set(used)) < len(used):
        names = ", ".join(table.names[i] for i in used)
        role = "column, covariates and group" if group else "column and covariates"
        raise ValueError(f"{path}: {role} must be different columns, got {names}")
    others = [i for i in range(len(table.names)) if i not in used]
    return columns, next((i for i in others if is_date(table.rows[0][i])), others[0] if others else None)


def _series(path: str | Path, table: Table, columns: list[int], label: int | None, longest_gap: int) -> Series:
    """Returns the series of a table; the first of its columns is the target."""
    names, rows, lines = table.names, table.rows, table.lines
    values = np.array([[number(row[i], table.decimal) for i in columns] for row in rows])
    for row, column in np.argwhere(~np.isfinite(values)):
        if (cell := rows[row][columns[column]]).strip().lower() not in MISSING:
            raise not_finite(path, lines[row], names[columns[column]], cell)
    labels = [str(i + 1) if label is None else row[label].strip() for i, row in enumerate(rows)]
    axis = _TimeAxis(labels, lines)
    if label is not None:
        axis, values = _time_axis(path, names[label], axis, values, longest_gap)
    observed, steps = ~np.isnan(values), np.arange(len(values))
    for column, present in zip(columns, observed.T, strict=True):
        _check_gaps(path, axis.lines, names[column], present, longest_gap)
    filled = [np.interp(steps, steps[some], each[some]) for some, each in zip(observed.T, values.T, strict=True)]
    return Series(
        names[columns[0]],
        tuple(axis.labels),
        filled[0],
        observed.all(axis=1),
        table.delimiter if len(names) > 1 else None,
        table.decimal,
        tuple(names[i] for i in columns[1:]),
        np.stack(filled[1:], axis=1) if filled[1:] else None,
        axis.times,
        axis.step,
    )


class _TimeAxis(NamedTuple):
    labels: list[str]
    lines: list[int]
    times: np.ndarray | None = None
    step: Step | None = None


def _time_axis(
    path: str | Path, name: str, axis: _TimeAxis, values: np.ndarray, longest_gap: int
) -> tuple[_TimeAxis, np.ndarray]:
    """Returns labels and values [N, columns] with rows of NaN for missing dates, checked."""
    labels, lines, *_ = axis
    times = read_times(path, name, lines, labels)
    if times is None:
        if len(labels) > 2 and all(later < earlier for earlier, later in itertools.pairwise(labels)):
            raise ValueError(
                f"{path}: rows must be in the order of time, the earliest first, got {name!r} from {labels[0]!r} down "
                f"to {labels[-1]!r}"
            )
        return axis, values
    step, places = regular_places(path, name, lines, labels, times, longest_gap)
    if len(places) == places[-1] + 1:
        return _TimeAxis(labels, lines, times, step), values
    times = np.concatenate([times[:1], step.after(times[0], places[-1])])
    every = list(map(str, times))
    for place, label in zip(places, labels, strict=True):
        every[place] = label
    with_gaps = np.full((len(times), values.shape[1]), np.nan)
    with_gaps[places] = values
    following = np.searchsorted(places, np.arange(len(times)))
    return _TimeAxis(every, [lines[i] for i in following], times, step), with_gaps


def split_ends(length: int, shares: Sequence[float], least: int = 1) -> SplitEnds:
    """Returns the ends of contiguous training, validation and test splits of a series, in this order.

    >>> from rnn_jax import data
    >>> data.split_ends(10, (0.7, 0.2, 0.1))
    SplitEnds(training=7, validation=9, test=10)

    Args:
      length: number of points in the series.
      shares: fractions of training, validation and test, with the sum 1.
      least: smallest number of points in a split.

    Raises:
      ValueError: if shares are not three positive numbers with the sum 1, or a split is shorter than `least`.
    """
    check_shares(shares, "split_ends")
    ends = SplitEnds(round(length * shares[0]), round(length * (shares[0] + shares[1])), length)
    for name, (start, stop) in zip(SPLITS, itertools.pairwise((0, *ends)), strict=True):
        if stop - start < least:
            raise ValueError(
                f"a series of {length} points leaves {stop - start} for the {name} set, which must have at least "
                f"{least}"
            )
    return ends


def windows(values: np.ndarray, length: int, stride: int = 1) -> np.ndarray:
    """Returns windows of a series, time-major; the last window ends with the last value.

    >>> import numpy as np
    >>> from rnn_jax import data
    >>> data.windows(np.arange(7), length=3, stride=2).T.tolist()
    [[0, 1, 2], [2, 3, 4], [4, 5, 6]]

    Args:
      values: series [N, ...].
      length: number of values in a window.
      stride: distance between the starts of two windows.

    Returns:
      Windows [length, windows, ...].

    Raises:
      ValueError: if length or stride is not a positive integer, or there are fewer values than a window has.
    """
    checks.integer_at_least(1, length, "windows: length")
    checks.integer_at_least(1, stride, "windows: stride")
    if len(values) < length:
        raise ValueError(f"windows: a window of {length} needs as many values, got {len(values)}")
    starts = np.arange((len(values) - length) % stride, len(values) - length + 1, stride)
    return values[np.arange(length)[:, None] + starts[None]]


def _check_gaps(path: str | Path, lines: list[int], name: str, observed: np.ndarray, longest: int) -> None:
    for is_observed, group in itertools.groupby(range(len(observed)), key=lambda i: bool(observed[i])):
        gap = list(group)
        if is_observed:
            continue
        missing = f"{path}, line {lines[gap[0]]}: {name!r} is missing"
        if gap[0] == 0 or gap[-1] == len(observed) - 1:
            raise ValueError(f"{missing} at the {'end' if gap[0] else 'start'}, which cannot be interpolated")
        if len(gap) > longest:
            raise ValueError(
                f"{missing} in {len(gap)} row{'s' * (len(gap) > 1)}; gaps of up to {longest} rows are filled"
            )
