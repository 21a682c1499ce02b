"""Files .ts, the format of the UCR and UEA archives of time series classification."""

import reprlib
from pathlib import Path

import numpy as np

from rnn_jax.data.labelled_series import LabelledSeries, fill_gaps
from rnn_jax.data.number_table import number
from rnn_jax.data.text import read_text

MISSING = "?"


def read_ts(path: str | Path, longest_gap: int = 0) -> LabelledSeries:
    r"""Reads labelled series from a file `.ts`: one series a line, its channels, then its class.

    Colons separate channels and class, commas the values of a channel; `?` is a missing value. Series may differ in
    length. Before `@data` stands the header: `@classLabel true` and the classes, and others. Lines with `#` are
    comments. https://www.sktime.net/en/stable/api_reference/file_specifications/ts.html

    >>> import pathlib, tempfile
    >>> from rnn_jax import data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "Steps_TRAIN.ts"
    >>> _ = path.write_text("@timeStamps false\n@classLabel true walk run\n@data\n1,2,3:4,5,6:walk\n7,8:9,1:run\n")
    >>> series = data.read_labelled_series(path)
    >>> series.names, [values.tolist() for values in series.values]
    (['walk', 'run'], [[[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]], [[7.0, 9.0], [8.0, 1.0]]])

    Args:
      path: file in UTF-8.
      longest_gap: largest number of consecutive missing values of a channel to interpolate.

    Returns:
      The series in the order of the file; channels are called 1, 2, ...

    Raises:
      ValueError: with the path, and the line if there is one, if the file cannot be read or is not UTF-8, has time
        stamps, numbers in place of classes or no series, a line has another number of channels or a class that the
        header does not name, channels of a series differ in length, a value is not a finite number, or a gap is longer.
    """
    lines = enumerate(read_text(path).split("\n"), 1)
    classes, dimensions = _header(path, lines)
    rows = []
    for at, line in lines:
        if line.strip() and not line.startswith("#"):
            row = _series(line, f"{path}, line {at}", classes, dimensions, longest_gap)
            dimensions = row[0].shape[1]
            rows.append(row)
    if not rows:
        raise ValueError(f"{path}: must have a series below @data, got none")
    values, filled, names, places = zip(*rows, strict=True)
    return LabelledSeries.of(values, names, _channels(dimensions), places, filled, classes)


def _series(
    line: str, place: str, classes: list[str], dimensions: int, longest_gap: int
) -> tuple[np.ndarray, int, str, str]:
    """Returns the values [T, channels], the number of interpolated ones, the class and the place of a line's series."""
    *channels, name = line.split(":")
    if not channels or len(channels) != (dimensions or len(channels)):
        raise ValueError(
            f"{place}: must have {dimensions or 'some'} channels and a class with colons between them, got "
            f"{len(channels)} channels: {reprlib.repr(line)}"
        )
    # Files of the archives differ in case between header and series.
    known = {each.casefold(): each for each in classes} | {each: each for each in classes}
    name = name.strip()
    if (label := known.get(name) or known.get(name.casefold())) is None:
        raise ValueError(
            f"{place}: class must be one of the header's, {', '.join(classes):.100}, got {reprlib.repr(name)}"
        )
    values, count = fill_gaps(_values(channels, place), longest_gap, _channels(len(channels)), lambda _: place)
    return values, count, label, place


def _channels(dimensions: int) -> list[str]:
    return [str(number) for number in range(1, dimensions + 1)]


def _header(path: str | Path, lines: "enumerate[str]") -> tuple[list[str], int]:
    """Reads up to `@data`; returns the names of the classes, and the number of channels or 0 if it is not given."""
    classes, dimensions = list[str](), 0
    for at, line in lines:
        place, (key, *words) = f"{path}, line {at}", line.split() or ["#"]
        key, first = key.casefold(), words[0].casefold() if words else ""
        if key == "@data":
            if not classes:
                raise ValueError(f"{place}: header must have a line '@classLabel true' with the classes, got none")
            return classes, dimensions
        if key == "@timestamps" and first != "false":
            raise ValueError(
                f"{place}: @timeStamps must be false, got {first!r:.40}: write one value a step, without times"
            )
        if key == "@targetlabel" and first != "false":
            raise ValueError(f"{place}: must have classes, @classLabel, got numbers to predict, @targetLabel")
        if key == "@classlabel":
            classes = words[1:]
            if first != "true" or len(set(classes)) < len(classes) or not classes:
                raise ValueError(
                    f"{place}: @classLabel must be true and different classes, got {' '.join(words)!r:.80}"
                )
        if key in ("@dimension", "@dimensions"):
            if not first.isdecimal() or not int(first):
                raise ValueError(f"{place}: @dimensions must be a number of channels, got {first!r:.40}")
            dimensions = int(first)
        if not key.startswith(("@", "#")):
            raise ValueError(f"{place}: must begin with @ or # before the line @data, got {reprlib.repr(line)}")
    raise ValueError(f"{path}: must have a line @data before the series, got none")


def _values(channels: list[str], place: str) -> np.ndarray:
    """Returns the values of a series [T, channels], NaN for a missing one."""
    columns = list[np.ndarray]()
    for index, channel in enumerate(channels, 1):
        cells = [cell.strip() for cell in channel.split(",")]
        column = np.array([number(cell, "point") for cell in cells])
        wrong = [cell for cell, value in zip(cells, column, strict=True) if cell != MISSING and not np.isfinite(value)]
        if wrong:
            raise ValueError(
                f"{place}: channel {index} must hold finite numbers, or {MISSING} if one is missing, got "
                f"{reprlib.repr(wrong[0])}"
            )
        if columns and len(column) != len(columns[0]):
            raise ValueError(
                f"{place}: channel {index} must have {len(columns[0])} values as channel 1, got {len(column)}"
            )
        columns.append(column)
    return np.stack(columns, axis=1)
