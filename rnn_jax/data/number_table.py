"""A CSV file as rows of cells with a column of numbers; its delimiter and decimal sign are decided together."""

import csv
import dataclasses
import io
import itertools
import re
import reprlib
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnn_jax.data.text import read_text

DELIMITERS = {"semicolon": ";", "tab": "\t", "comma": ","}
DECIMALS = {"point": ".", "comma": ","}
MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "-", "?", "."))  # in lower case
_COUNTED = 1000  # rows that tell the decimal sign if other columns hold numbers, too
_QUOTED = re.compile(r'"[^"]*"')
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Rows of equal width.

    Args:
      delimiter: semicolon, tab or comma.
      decimal: decimal sign, point or comma.
      header: whether the first row holds names.
      names: names of the columns; 1, 2, ... without a header.
      lines: last line of each row in the file.
      rows: cells of each row below the header.
      index: index of the column of numbers.
      numbers: its numbers [N], NaN if a cell holds none.
    """

    delimiter: str
    decimal: str
    header: bool
    names: list[str]
    lines: list[int]
    rows: list[list[str]]
    index: int
    numbers: np.ndarray


def read_table(
    path: str | Path,
    column: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    others: Sequence[str] = (),
) -> Table:
    """Reads a CSV file and finds a column in which most cells that are not missing are numbers.

    Every delimiter is tried with every decimal sign. A reading fits if all rows have one width and there is such a
    column. Of two decimal signs that fit with one delimiter, the one with more numbers in all columns is right.

    Args:
      path: file in UTF-8.
      column: name of the column; None means the last one in which most cells are numbers.
      delimiter: semicolon, tab or comma; None tries them all.
      decimal: decimal sign, point or comma; None tries both.
      others: names of columns that are not the one of numbers.

    Raises:
      ValueError: with the path, and the line if there is one, if no reading fits, if readings with different numbers
        fit, or if commas could be decimal signs as well as something else.
    """
    text = read_text(path)
    first = text.strip().partition("\n")[0]
    tables, errors = [], []
    for tried, sign in _layouts(text, delimiter, decimal):
        try:
            table = _table(path, text, tried, sign, column, others)
            if delimiter is None:
                _check_delimiter(path, text, table)
            tables.append(table)
        except ValueError as error:
            errors.append((first.count(DELIMITERS[tried]), error))
    if not tables:
        raise max(errors, key=lambda pair: pair[0])[1]
    chosen = tables[0]
    for other in tables[1:]:
        more = _count(other) - _count(chosen) if chosen.delimiter == other.delimiter else 0
        if more == 0 and not np.array_equal(chosen.numbers, other.numbers, equal_nan=True):
            raise ValueError(f"{path}: can be read as {_start(chosen)} or as {_start(other)}; choose one of them")
        chosen = other if more > 0 else chosen
    if decimal is None:
        check_commas(path, chosen, delimiter)
    return chosen


def number(cell: str, decimal: str) -> float:
    """Returns the number in a cell, NaN if it holds none."""
    cell = cell.strip()
    # Python would parse 1_000 as a number.
    if cell.lower() in MISSING or "_" in cell or (decimal == "comma" and "." in cell):
        return np.nan
    try:
        return float(cell.replace(",", ".") if decimal == "comma" else cell)
    except ValueError:
        return np.nan


def _layouts(text: str, delimiter: str | None, decimal: str | None) -> list[tuple[str, str]]:
    """Returns the pairs of delimiter and decimal sign to try."""
    for name, value, known in (("delimiter", delimiter, DELIMITERS), ("decimal", decimal, DECIMALS)):
        if value is not None and value not in known:
            raise ValueError(f"read_series: {name} must be one of {', '.join(known)}, got {value!r}")
    if delimiter is not None and delimiter == decimal:
        raise ValueError("read_series: delimiter and decimal must differ, got comma for both")
    # All delimiters that the text does not hold make one column: the first of them stands for all.
    absent = [name for name, character in DELIMITERS.items() if character not in text]
    delimiters = [delimiter] if delimiter else [name for name in DELIMITERS if name not in absent[1:]]
    decimals = [decimal] if decimal else [name for name in DECIMALS if name == "point" or "," in text]
    return [(tried, sign) for tried, sign in itertools.product(delimiters, decimals) if tried != sign]


def _table(
    path: str | Path, text: str, delimiter: str, decimal: str, column: str | None, others: Sequence[str]
) -> Table:
    lines, rows = _rows(path, text, DELIMITERS[delimiter])
    header = all(np.isnan(number(cell, decimal)) for cell in rows[0])
    names = [cell.strip() for cell in rows[0]] if header else [str(i) for i in range(1, len(rows[0]) + 1)]
    if header:
        lines, rows = lines[1:], rows[1:]
    if not rows:
        raise ValueError(f"{path}: must hold a row of numbers below its header, got the header only")
    if column is not None:
        indices: Sequence[int] = [index_of(path, names, column)]
    else:
        indices = [i for i in range(len(names) - 1, -1, -1) if names[i] not in others]
    for index in indices:
        cells = [row[index] for row in rows]
        numbers = np.array([number(cell, decimal) for cell in cells])
        wrong = [i for i in np.flatnonzero(np.isnan(numbers)) if cells[i].strip().lower() not in MISSING]
        if len(wrong) < np.sum(~np.isnan(numbers)) or (column is not None and not wrong):
            return Table(delimiter, decimal, header, names, lines, rows, index, numbers)
    if column is not None:
        raise not_finite(path, lines[wrong[0]], column, cells[wrong[0]])
    raise ValueError(f"{path}: must have a column of numbers, got none among {_listed(names)}")


def not_finite(path: str | Path, line: int, name: str, cell: str) -> ValueError:
    """Returns the error for a cell that is not a finite number."""
    return ValueError(f"{path}, line {line}: {name!r} must be a finite number, got {reprlib.repr(cell.strip())}")


def _rows(path: str | Path, text: str, delimiter: str) -> tuple[list[int], list[list[str]]]:
    """Returns the last line of each row that is not blank, and the rows, all of one width."""
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    numbered: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            if not "".join(row).strip() and len(row) < 2:  # a row of delimiters only holds missing cells
                continue
            if numbered and len(row) != (width := len(numbered[0][1])):
                raise ValueError(
                    f"{path}, line {reader.line_num}: must have {width} cells as the first row has, got {len(row)}"
                )
            numbered.append((reader.line_num, row))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not CSV: {error}") from error
    if not numbered:
        raise ValueError(f"{path}: must hold rows of numbers, got blank lines only")
    lines, rows = zip(*numbered, strict=True)
    return list(lines), list(rows)


def _listed(names: list[str]) -> str:
    return ", ".join(map(reprlib.repr, names[:40]))


def index_of(path: str | Path, names: list[str], column: str) -> int:
    """Returns the index of the one column called `column`."""
    column = unicodedata.normalize("NFC", column)
    if names.count(column) != 1:
        raise ValueError(
            f"{path}: must have one column called {column!r}, got {names.count(column)}; its columns are "
            f"{_listed(names)}"
        )
    return names.index(column)


def _check_delimiter(path: str | Path, text: str, table: Table) -> None:
    """Raises a ValueError if another character delimits more likely."""
    lines = [line for line in _QUOTED.sub("", text).split("\n") if line.strip()]
    if table.delimiter == "comma" and sum(";" in line or "\t" in line for line in lines) > len(lines) / 2:
        raise ValueError(f"{path}: commas could be decimal signs, because most lines hold semicolons or tabs")
    if table.decimal == "comma" and len(table.names) == 1 and table.header and "," in lines[0]:
        raise ValueError(f"{path}: commas could delimit, because its header {lines[0]!r} holds one")


def check_commas(path: str | Path, table: Table, delimiter: str | None) -> None:
    """Raises a ValueError if commas of its column, taken for decimal signs, could delimit or separate thousands."""
    cells = [cell for row in table.rows if "," in (cell := row[table.index].strip())]
    if table.decimal != "comma" or not cells:
        return
    if delimiter is None and len(table.names) == 1 and not table.header:
        raise ValueError(f"{path}: commas as in {cells[0]!r} could delimit; choose decimal=comma or delimiter=comma")
    if all(_THOUSANDS.fullmatch(cell) for cell in cells):
        raise ValueError(
            f"{path}: commas as in {cells[0]!r} could separate thousands; remove them, or choose decimal=comma"
        )


def _count(table: Table) -> int:
    """Returns the number of cells that are numbers, in the first rows."""
    return sum(not np.isnan(number(cell, table.decimal)) for row in table.rows[:_COUNTED] for cell in row)


def _start(table: Table) -> str:
    """Returns the first numbers of a reading and the arguments that choose it."""
    numbers = ", ".join(f"{each:g}" for each in table.numbers[:3])
    return f"{numbers}, ... (delimiter={table.delimiter}, decimal={table.decimal})"
