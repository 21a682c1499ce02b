"""A series of numbers from a CSV file, its gaps, and its splits in time."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax import checks
from rnn_jax.data.number_table import MISSING, not_finite, read_table
from rnn_jax.data.text import SPLITS, check_shares


class Series(NamedTuple):
    """Equally spaced numbers.

    Attributes:
      name: name of the column.
      labels: labels of the time axis as written in the file, such as dates, or else the numbers 1 to N.
      values: numbers, float64 [N].
      observed: booleans [N], False for the numbers that are interpolated.
      delimiter: semicolon, tab or comma between the columns of the file; None if there is one column, or no file.
      decimal: decimal sign of the file, point or comma; None if there is no file.
    """

    name: str
    labels: tuple[str, ...]
    values: np.ndarray
    observed: np.ndarray
    delimiter: str | None = None
    decimal: str | None = None


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
) -> Series:
    r"""Reads one column of a CSV file, with or without a header.

    Semicolons, tabs or commas delimit cells, and the decimal sign is a point or a comma. Both are found together; a
    file that can be read in two ways is refused. Thousands separators are not allowed.

    The first row is a header if none of its cells is a number; otherwise the columns are named 1, 2, ... The first
    other column gives the labels. Empty cells, NA, NaN and the like are missing numbers.

    A missing number is interpolated between the numbers before and *after* its gap. Do not forecast from inside a gap:
    the interpolation has seen the future. `observed` marks the gaps.

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "sales.csv"
    >>> _ = path.write_text("month,sales\n2024-01,10\n2024-02,NA\n2024-03,14\n")
    >>> series = data.read_series(path, longest_gap=1)
    >>> series.values.tolist(), series.observed.tolist()
    ([10.0, 12.0, 14.0], [True, False, True])

    Args:
      path: file in UTF-8.
      column: name of the column; None means the last one with more numbers than other cells.
      longest_gap: largest number of consecutive missing numbers to interpolate linearly. The first and the last number
        must not be missing.
      delimiter: semicolon, tab or comma; None finds it.
      decimal: decimal sign, point or comma; None finds it.

    Raises:
      ValueError: with the path, and the line if there is one, if the file cannot be read, is not UTF-8, holds no
        numbers, can be read in two ways, a row has more or fewer cells than the first, the column is missing or not
        unique, a cell is not a finite number, a gap is longer, or the labels only decrease because the latest row is
        first.
    """
    checks.integer_at_least(0, longest_gap, "read_series: longest_gap")
    table = read_table(path, column, delimiter, decimal)
    names, index, values = table.names, table.index, table.numbers
    for line, row, value in zip(table.lines, table.rows, values, strict=True):
        if not np.isfinite(value) and row[index].strip().lower() not in MISSING:
            raise not_finite(path, line, names[index], row[index])
    observed = ~np.isnan(values)
    _check_gaps(path, table.lines, names[index], observed, longest_gap)
    steps = np.arange(len(values))
    others = [i for i in range(len(names)) if i != index]
    labels = [row[others[0]].strip() for row in table.rows] if others else [str(i + 1) for i in steps]
    if others and len(labels) > 2 and all(later < earlier for earlier, later in itertools.pairwise(labels)):
        raise ValueError(
            f"{path}: rows must be in the order of time, the earliest first, got {names[others[0]]!r} from "
            f"{labels[0]!r} down to {labels[-1]!r}"
        )
    filled = np.interp(steps, steps[observed], values[observed])
    return Series(names[index], tuple(labels), filled, observed, table.delimiter if others else None, table.decimal)


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
