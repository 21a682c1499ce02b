"""Labelled series from CSV files, one series a file: in folders of classes, or named by a list."""

import dataclasses
import os
from pathlib import Path

import numpy as np

from rnn_jax import files
from rnn_jax.data.labelled import read_columns, tidy
from rnn_jax.data.labelled_series import LabelledSeries, fill_gaps
from rnn_jax.data.number_table import MISSING, check_commas, not_finite, number, read_table
from rnn_jax.data.ts_file import read_ts

LIST = "labels.csv"
TIMES = frozenset(("", "time", "times", "timestamp", "date", "datetime", "t", "index"))  # columns that are no channels


def read_labelled_series(
    path: str | Path, longest_gap: int = 0, delimiter: str | None = None, decimal: str | None = None
) -> LabelledSeries:
    r"""Reads labelled series in one of three forms.

    - A file `.ts`, as of the UCR and UEA archives; see `rnn_jax.data.ts_file.read_ts`.
    - A folder with a folder for each class, with one CSV file a series.
    - A file `.csv` with the columns `file` and `label`, a row a series; files are beside it. Of a folder with a
      `labels.csv`, that is read.

    A CSV file has a row for each step and a column for each channel, with or without a header. Delimiter and decimal
    sign are found as by `read_series`. A column called time, timestamp, date, datetime, t, index or nothing is no
    channel. Empty cells, NA, NaN and the like are missing values.

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name, rows in (("walk", "0.1,9.8\n0.2,9.7\n"), ("run", "2.5,9.1\n")):
    ...     (folder / name).mkdir()
    ...     _ = (folder / name / "1.csv").write_text("x,z\n" + rows)
    >>> series = data.read_labelled_series(folder)
    >>> series.names, series.channels, [len(values) for values in series.values]
    (['run', 'walk'], ('x', 'z'), [1, 2])

    Args:
      path: file or folder.
      longest_gap: largest number of consecutive missing values of a channel to interpolate.
      delimiter: semicolon, tab or comma between columns of a CSV file; None finds it.
      decimal: decimal sign of a CSV file, point or comma; None finds it.

    Raises:
      ValueError: with the path, and the line if there is one, if it has none of these forms, a file cannot be read, has
        other channels than the first, a value is not a finite number, or a gap is longer; as `read_ts` and
        `read_series`.
    """
    path = files.expanded(path)
    if path.suffix.lower() == ".ts" and not path.is_dir():
        return read_ts(path, longest_gap)
    if path.is_dir():
        named = _listed(path / LIST) if (path / LIST).exists() else _by_folder(path)
    elif path.suffix.lower() == ".csv":
        named = _listed(path)
    else:
        got = "another file" if path.exists() else "no such file"
        raise ValueError(f"{path}: must be a file .ts, a folder of CSV files, or a .csv that lists some, got {got}")
    values, filled, channels = list[np.ndarray](), list[int](), tuple[str, ...]()
    for file, _ in named:
        names, array, count = read_channels(file, longest_gap, delimiter, decimal)
        if values and names != channels:
            raise ValueError(
                f"{file}: must have the columns {', '.join(channels):.99} as {named[0][0]}, got {', '.join(names):.99}"
            )
        channels = names
        values.append(array)
        filled.append(count)
    return LabelledSeries.of(values, [name for _, name in named], channels, [str(file) for file, _ in named], filled)


def _by_folder(folder: Path) -> list[tuple[Path, str]]:
    """Returns the files of a folder's folders, and their classes."""
    named = [(file, tidy(file.parent.name)) for file in sorted(folder.glob("*/*.csv"))]
    if not named:
        names = ", ".join(sorted(path.name for path in folder.iterdir()))
        raise ValueError(
            f"{folder}: must hold a folder of CSV files for each class, or a {LIST}, got {names or 'nothing':.200}"
        )
    return named


def _listed(path: Path) -> list[tuple[Path, str]]:
    """Returns the files that a list names, and their classes."""
    named: dict[Path, str] = {}
    for line, (file, label) in read_columns(path, ("file", "label")):
        full = path.parent / file.strip()
        if not os.path.exists(full) or full in named:  # unlike `Path.exists` no error for names too long
            got = "a file named twice" if full in named else "no such file"
            raise ValueError(f"{path}, line {line}: must name a file in {path.parent}, got {file!r:.80}, {got}")
        if not (label := tidy(label)):
            raise ValueError(f"{path}, line {line}: must name a class, got an empty label")
        named[full] = label
    if not named:
        raise ValueError(f"{path}: must name a file below its header, got the header only")
    return list(named.items())


def read_channels(
    path: Path, longest_gap: int, delimiter: str | None, decimal: str | None
) -> tuple[tuple[str, ...], np.ndarray, int]:
    """Returns the names of a CSV file's channels, its values [T, channels] and the number of interpolated ones.

    Arguments and errors as `read_labelled_series`.
    """
    table = read_table(path, None, delimiter, decimal)
    indices = [i for i, name in enumerate(table.names) if name.casefold() not in TIMES]
    names = tuple(table.names[i] for i in indices)
    if not names:
        raise ValueError(f"{path}: must have a column beside {', '.join(table.names)!r}, got none")
    if decimal is None:
        for index in indices:
            check_commas(path, dataclasses.replace(table, index=index), delimiter)
    values = np.array([[number(row[i], table.decimal) for i in indices] for row in table.rows])
    for row, column in np.argwhere(~np.isfinite(values)):
        if (cell := table.rows[row][indices[column]]).strip().lower() not in MISSING:
            raise not_finite(path, table.lines[row], names[column], cell)
    return names, *fill_gaps(values, longest_gap, names, lambda step: f"{path}, line {table.lines[step]}")
