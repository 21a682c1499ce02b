"""A series of numbers from a CSV file, its gaps, and its parts in time."""

import csv
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnn_jax import checks
from rnn_jax.data.text import SPLITS, read_text

MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "-", "?", "."))  # in lower case
SEPARATORS = ",;\t"


class Series(NamedTuple):
    """Equally spaced numbers."""

    name: str  # the column's
    labels: tuple[str, ...]  # [N] of an axis, as they stand in the file: dates, or places counted from 1
    values: np.ndarray  # float64 [N]
    observed: np.ndarray  # booleans [N]; the others stood in a gap and are interpolated


class SplitEnds(NamedTuple):
    """Where the parts of a series end: training is [:training], validation [training:validation], test the rest."""

    training: int
    validation: int
    test: int


def read_series(path: str | Path, column: str | None = None, longest_gap: int = 0) -> Series:
    """One column of a CSV file: UTF-8, separated by commas, semicolons or tabs, with a header or without.

    The first row is a header where none of its cells is a number; without one the columns are called 1, 2, ... The
    first other column gives the labels. An empty cell, NA, NaN and the like are missing.

    A number filled in is interpolated between the numbers before and *after* its gap: nothing may be forecast from
    inside a gap, and `observed` tells where that is.

    Args:
      path: of the file.
      column: its name; None means the last whose cells are numbers for the most part.
      longest_gap: missing numbers in a row that are filled by linear interpolation at the most. At the beginning and at
        the end none is.

    Raises:
      ValueError: with the file, and the line where there is one, where the file cannot be read, is not UTF-8, holds no
        numbers, a row has more or fewer cells than the first, the column is not there or comes twice, a cell is not a
        finite number, a gap is longer, or the labels only ever fall, as where the latest row stands first.
    """
    checks.integer_at_least(0, longest_gap, "read_series: longest_gap")
    lines, rows = _rows(path)
    header = not any(_number(cell) is not None for cell in rows[0])
    names = [cell.strip() for cell in rows[0]] if header else [str(i) for i in range(1, len(rows[0]) + 1)]
    if header:
        lines, rows = lines[1:], rows[1:]
    if not rows:
        raise ValueError(f"{path}: must hold a row of numbers below its header, got the header alone")
    place = _place(path, names, rows, column)
    values = np.full(len(rows), np.nan)
    for i, (line, row) in enumerate(zip(lines, rows, strict=True)):
        cell = row[place].strip()
        if cell.lower() in MISSING:
            continue
        number = _number(cell)
        if number is None or not math.isfinite(number):
            raise ValueError(f"{path}, line {line}: {names[place]!r} must be a finite number, got {cell!r}")
        values[i] = number
    observed = ~np.isnan(values)
    _check_gaps(path, lines, names[place], observed, longest_gap)
    places = np.arange(len(values))
    labelled = [i for i in range(len(names)) if i != place][:1]
    labels = [row[labelled[0]].strip() for row in rows] if labelled else [str(i + 1) for i in places]
    if labelled and len(labels) > 2 and all(later < earlier for earlier, later in itertools.pairwise(labels)):
        raise ValueError(
            f"{path}: rows must stand in the order of time, the earliest first, got {names[labelled[0]]!r} from "
            f"{labels[0]!r} down to {labels[-1]!r}"
        )
    filled = np.interp(places, places[observed], values[observed])
    return Series(names[place], tuple(labels), filled, observed)


def split_ends(length: int, shares: Sequence[float], least: int = 1) -> SplitEnds:
    """Contiguous parts of a series in time's order: training, validation, test.

    Args:
      length: of the series.
      shares: of the three, with the sum 1.
      least: points that every part must have.

    Raises:
      ValueError: where shares are not three positive numbers with the sum 1, or a part is shorter.
    """
    if len(shares) != len(SPLITS):
        raise ValueError(f"split_ends: shares must be {len(SPLITS)} numbers, of {', '.join(SPLITS)}, got {len(shares)}")
    for part, share in zip(SPLITS, shares, strict=True):
        checks.positive(share, f"split_ends: the {part} share")
    if not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ValueError(f"split_ends: shares must have the sum 1, got {sum(shares):g}")
    parts = SplitEnds(round(length * shares[0]), round(length * (shares[0] + shares[1])), length)
    for name, (start, stop) in zip(SPLITS, itertools.pairwise((0, *parts)), strict=True):
        if stop - start < least:
            raise ValueError(
                f"a series of {length} points leaves {stop - start} to the {name} part, which must have at least "
                f"{least}"
            )
    return parts


def windows(values: np.ndarray, length: int, stride: int = 1) -> np.ndarray:
    """Every `stride`-th stretch of `length` values, time-major: values [N, ...] to [length, windows, ...].

    The last window ends with the last value.

    Raises:
      ValueError: where length or stride is not a positive integer, or there are fewer values than a window has.
    """
    checks.integer_at_least(1, length, "windows: length")
    checks.integer_at_least(1, stride, "windows: stride")
    if len(values) < length:
        raise ValueError(f"windows: a window of {length} needs as many values, got {len(values)}")
    starts = np.arange((len(values) - length) % stride, len(values) - length + 1, stride)
    return values[np.arange(length)[:, None] + starts[None]]


def _rows(path: str | Path) -> tuple[list[int], list[list[str]]]:
    """The rows that are not blank, all of one width, and the line that each ends on."""
    text = read_text(path)
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(SEPARATORS, key=first.count)  # the comma, where there is none
    reader = csv.reader(text.splitlines(), delimiter=separator, strict=True)
    found = []
    try:
        for row in reader:
            if len(row) > 1 or any(cell.strip() for cell in row):  # separators alone are missing cells
                found.append((reader.line_num, row))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
    if not found:
        raise ValueError(f"{path}: must hold rows of numbers, got blank lines alone")
    width = len(found[0][1])
    for line, row in found:
        if len(row) != width:
            raise ValueError(f"{path}, line {line}: must have {width} cells as the first row has, got {len(row)}")
    lines, rows = zip(*found, strict=True)
    return list(lines), list(rows)


def _number(cell: str) -> float | None:
    try:
        # Python reads 1_000 as a number.
        return None if cell.strip().lower() in MISSING or "_" in cell else float(cell)
    except ValueError:
        return None


def _place(path: str | Path, names: list[str], rows: list[list[str]], column: str | None) -> int:
    if column is not None:
        if names.count(column) != 1:
            raise ValueError(
                f"{path}: must have one column called {column!r}, got {names.count(column)}; its columns are "
                f"{', '.join(map(repr, names))}"
            )
        return names.index(column)
    for place in reversed(range(len(names))):
        present = [row[place] for row in rows if row[place].strip().lower() not in MISSING]
        if 2 * sum(_number(cell) is not None for cell in present) > len(present):
            return place
    raise ValueError(f"{path}: must have a column of numbers, got none among {', '.join(map(repr, names))}")


def _check_gaps(path: str | Path, lines: list[int], name: str, observed: np.ndarray, longest: int) -> None:
    for seen, group in itertools.groupby(range(len(observed)), key=lambda i: bool(observed[i])):
        gap = list(group)
        if seen:
            continue
        where = f"{path}, line {lines[gap[0]]}: {name!r} is missing"
        if gap[0] == 0 or gap[-1] == len(observed) - 1:
            raise ValueError(
                f"{where} at the {'end' if gap[0] else 'beginning'}, where there is nothing to interpolate"
            )
        if len(gap) > longest:
            raise ValueError(
                f"{where} in {len(gap)} row{'s' * (len(gap) > 1)}; gaps of up to {longest} rows are filled "
                "(by linear interpolation, where asked for)"
            )
