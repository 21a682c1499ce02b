"""Rows of a table with categories and numbers as sequences of ids, one column after the other."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnn_jax import files
from rnn_jax.data.labelled import read_columns
from rnn_jax.data.number_table import MISSING, not_finite, number
from rnn_jax.static import Static

Row = Sequence[str]  # cells


@dataclasses.dataclass(frozen=True)
class RowTokens(Static):
    """Ids of a row's cells; each column has ids of its own.

    Id 0 of a categorical column is a category that was not seen in training. A number's id is its quantile among those
    seen in training; numbers below the least, above the greatest, and missing ones have an id each.

    >>> from rnn_jax import data
    >>> rows = [("tcp", "10"), ("udp", "30"), ("tcp", "20")]
    >>> tokens = data.RowTokens.of(("protocol",), ("bytes",), rows, bins=2)
    >>> tokens.sizes, tokens.encode([("udp", "15"), ("icmp", "99")]).tolist()
    ((3, 5), [[2, 4], [0, 6]])

    Args:
      categories: names of the columns of categories, the first of a row.
      numbers: names of the columns of numbers, which follow.
      known: categories of each column.
      edges: edges of the bins of each column of numbers, increasing.
    """

    categories: tuple[str, ...]
    numbers: tuple[str, ...]
    known: tuple[tuple[str, ...], ...]
    edges: tuple[tuple[float, ...], ...]

    @classmethod
    def of(
        cls, categories: tuple[str, ...], numbers: tuple[str, ...], rows: Sequence[Row], bins: int = 16
    ) -> "RowTokens":
        """Returns the ids for the rows of a training set, with at most `bins` quantiles."""
        columns = list(zip(*rows, strict=True))
        known = tuple(tuple(sorted(set(column))) for column in columns[: len(categories)])
        edges = []
        for column in columns[len(categories) :]:
            values = np.array([number(cell, "point") for cell in column])
            seen = values[~np.isnan(values)]
            inner = np.unique(np.quantile(seen, np.linspace(0, 1, bins + 1))) if len(seen) else np.zeros(1)
            edges.append((*inner[:-1].tolist(), float(np.nextafter(inner[-1], np.inf))))
        return cls(categories, numbers, known, tuple(edges))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self.categories + self.numbers

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of ids of each column."""
        return (*(len(names) + 1 for names in self.known), *(len(edges) + 2 for edges in self.edges))

    def encode(self, rows: Sequence[Row]) -> np.ndarray:
        """Returns the ids [N, columns] of rows."""
        columns = list(zip(*rows, strict=True))
        places = []
        for names, column in zip(self.known, columns, strict=False):
            indices = {name: i for i, name in enumerate(names, 1)}
            places.append(np.array([indices.get(cell, 0) for cell in column]))
        for edges, column in zip(self.edges, columns[len(self.known) :], strict=True):
            values = np.array([number(cell, "point") for cell in column])
            places.append(np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right")))
        return np.stack(places, axis=1) + np.cumsum([0, *self.sizes[:-1]])

    def unseen(self, rows: Sequence[Row]) -> int:
        """Returns the number of cells with a category that was not seen in training."""
        firsts = np.cumsum([0, *self.sizes[:-1]])[: len(self.known)]
        return int(np.sum(self.encode(rows)[:, : len(self.known)] == firsts))


def read_rows(
    path: str | Path, categories: Sequence[str], numbers: Sequence[str], label: str | None = None
) -> tuple[list[int], list[list[str]], list[str]]:
    """Reads columns of a .csv (commas) or .tsv file in UTF-8 with a header; capital letters in names do not matter.

    Returns:
      The line of each row, its categories and then numbers as cells without surrounding spaces, and its label.

    Raises:
      ValueError: with the path, and the line if there is one, if it has another suffix, a column is missing or given
        twice, or a cell of numbers is neither missing nor a finite number.
    """
    path = files.expanded(path)
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise ValueError(f"{path}: must be a file .csv or .tsv with a header")
    names = [name.casefold() for name in (*categories, *numbers, *(() if label is None else (label,)))]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: columns must be different, got {', '.join(names)}")
    lines, rows, labels = [], [], []
    for line, cells in read_columns(path, names):
        row = [cell.strip() for cell in cells]
        for name, cell in zip(numbers, row[len(categories) :], strict=False):
            if not np.isfinite(number(cell, "point")) and cell.lower() not in MISSING:
                raise not_finite(path, line, name, cell)
        lines.append(line)
        labels.append("" if label is None else row.pop())
        rows.append(row)
    if not rows:
        raise ValueError(f"{path}: must hold rows below its header, got none")
    return lines, rows, labels
