"""Tables of flat records: each combination of some fields is a row, and a column shows a field or a function of it."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from experiments.common.numbers import number
from experiments.common.run_folder import Table
from rnn_jax.report import Column

Record = dict[str, Any]
Records = list[Record]
MISSING = "-"


def pivot(
    records: Sequence[Record],
    section: Callable[[Record], str],
    rows: Sequence[str],
    columns: Mapping[str, Any],
    caption: str,
    by: str = "",
) -> Table:
    """Returns a table of records.

    Args:
      records: flat records.
      section: function from a record to the title of its section.
      rows: fields in which the rows of a section differ.
      columns: by header, a field shown as text, (field, scale) shown as a number, or a function from a record and all
        records to text. A header with {} makes a column for each value of `by`, with a dash for those that a row lacks;
        any other shows a row's last record.
      caption: text below the table.
      by: field in which the records of a row differ.
    """
    sections: dict[str, dict[Any, dict[Any, Record]]] = {}
    for record in records:
        in_section = sections.setdefault(section(record), {})
        in_section.setdefault(tuple(record[name] for name in rows), {})[record.get(by)] = record

    def text(spec: Any, value: Any, row: dict[Any, Record]) -> str:
        record = row.get([*row][-1] if value is None else value)
        if record is None:
            return MISSING
        if isinstance(spec, tuple):
            field, scale = spec
            return MISSING if record.get(field) is None else digits(record[field] * scale)
        return str(record[spec]) if isinstance(spec, str) else spec(record, records)

    made = [
        Column(header.format(value), functools.partial(text, spec, value), right=not isinstance(spec, str))
        for header, spec in columns.items()
        for value in (values(records, by) if "{" in header else [None])
    ]
    return Table(made, {title: list(each.values()) for title, each in sections.items()}, caption)


def digits(value: float) -> str:
    """Returns a number with three significant digits, as 350,000 for 349,520; a dash for NaN."""
    return number(float(f"{value:.3g}"), 3, high=math.inf)


def select(records: Iterable[Record], **fields: Any) -> Records:
    """Returns the records that have all of these values."""
    return [record for record in records if all(record.get(name) == value for name, value in fields.items())]


def values(records: Iterable[Record], field: str) -> list[Any]:
    """Returns the distinct values of a field, in order."""
    return list(dict.fromkeys(record[field] for record in records))
