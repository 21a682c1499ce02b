"""What a part of the benchmark is, the flags that parts read, and what their tables, figures and findings share."""

import dataclasses
import functools
import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from experiments.common.flags import ComputeConfig, UserError, setting
from experiments.common.numbers import number
from experiments.common.run_folder import Table
from experiments.peers.programs import Prepare
from experiments.throughput.contestants import DEFAULT
from experiments.throughput.problem import CELLS, DTYPES, SHAPES, TASKS, Problem
from rnn_jax.report import Column

Contestants = Mapping[str, Prepare]
Record = dict[str, Any]  # flat
Records = list[Record]


@dataclasses.dataclass(frozen=True)
class Options(ComputeConfig):
    """Flags that parts read."""

    cells: tuple[str, ...] = setting(
        CELLS, f"Comma list of {', '.join(CELLS)}; for layers, recipes and floor. With --compile_for, any cell."
    )
    shapes: tuple[str, ...] = setting(SHAPES, "Comma list of BATCHxSTEPSxINPUTSxHIDDEN; for layers and floor.")
    tasks: tuple[str, ...] = setting(tuple(TASKS), f"Comma list of {', '.join(TASKS)}; for recipes.", choices=[*TASKS])
    longest: int = setting(10_000, "Steps of the longest sequence in a sweep over T; sweeps start with 100.", least=100)
    dtype: str = setting("float32", f"One of {', '.join(DTYPES)}; for layers and lengths.", choices=DTYPES)
    repeats: int = setting(5, "Rounds of a comparison, at least.")
    seconds: float = setting(8.0, "Time in which a comparison may make more rounds.", least=0)

    def problems(self, dtype: str = "float32") -> dict[str, Problem]:
        """Returns every cell of every shape, by the title of its comparison.

        Raises:
          UserError: if a shape cannot be read.
        """
        for text in self.shapes:
            if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){3}", text):
                raise UserError(f"--shapes: a shape is BATCHxSTEPSxINPUTSxHIDDEN as in 32x100x128x128, got {text!r}")
        sizes = [tuple(map(int, text.split("x"))) for text in self.shapes]
        problems = [Problem(cell, *each, dtype=dtype) for each in sizes for cell in self.cells]
        return {str(problem): problem for problem in problems}

    def lengths(self, steps: Iterable[int]) -> list[int]:
        """Returns the lengths of a sweep over T that `longest` allows."""
        return [length for length in steps if length <= self.longest]


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the benchmark: what it measures, and how its records are shown.

    Columns of the table are, by header, a field as text, (field, scale) as a number, or a function of a record and all
    records that returns text. Each combination of the text columns is a row. A header with {} makes a column for each
    value of the field `by`, in which the records of a row differ.
    """

    cases: Callable[[Any], Mapping[str, Any]]  # comparisons, by the title shown while one runs
    measure: Callable[[Any, Contestants, Any], Records]  # of the options, the libraries and a case
    title: str  # template of the title of a table's section, filled with a record; each title makes a section
    columns: Mapping[str, Any]
    caption: str = ""  # template of the text below the table, filled with each field's largest value
    by: str = ""
    figure: Callable[[Sequence[Record]], Figure] | None = None
    findings: Callable[[Sequence[Record]], list[str]] = lambda _: []  # sentences

    def table(self, records: Sequence[Record]) -> Table:
        """Returns the table of this part's records; a row has its records by their value of `by`."""
        keys = [spec for spec in self.columns.values() if isinstance(spec, str)]
        sections: dict[str, dict[Any, dict[Any, Record]]] = {}
        for record in records:
            rows = sections.setdefault(self.title.format(**record), {})
            rows.setdefault(tuple(record[key] for key in keys), {})[record.get(self.by)] = record

        def text(spec: Any, value: Any, row: dict[Any, Record]) -> str:
            record = row[next(iter(row)) if value is None else value]
            if isinstance(spec, tuple):
                return digits(record[spec[0]] * spec[1])
            return str(record[spec]) if isinstance(spec, str) else spec(record, records)

        columns = [
            Column(header.format(value), functools.partial(text, spec, value), right=not isinstance(spec, str))
            for header, spec in self.columns.items()
            for value in (values(records, self.by) if "{}" in header else [None])
        ]
        given = {field for record in records for field, value in record.items() if value is not None}
        most = {field: max(r[field] for r in records if r.get(field) is not None) for field in given}
        caption = self.caption.format(**most)
        if "rounds" in most:
            counts = dict.fromkeys([min(values(records, "rounds")), most["rounds"]])
            caption += f" Medians of {' to '.join(map(str, counts))} rounds."
        return Table(columns, {title: list(rows.values()) for title, rows in sections.items()}, caption)


def digits(value: float) -> str:
    """Returns three significant digits."""
    return number(value, 3, high=math.inf)


def select(records: Iterable[Record], **fields: Any) -> Records:
    """Returns the records that have all of these values."""
    return [record for record in records if all(record.get(name) == value for name, value in fields.items())]


def values(records: Iterable[Record], field: str) -> list[Any]:
    """Returns the distinct values of a field, in order."""
    return list(dict.fromkeys(record[field] for record in records))


def ratio(record: Record, records: Iterable[Record], *fields: str, field: str = "median_ms", **reference: Any) -> float:
    """Returns a time as a multiple of the reference's, which is equal in `fields` and has the values `reference`.

    NaN if there is no reference.
    """
    references = select(records, **{name: record[name] for name in fields}, **reference)
    return record[field] / references[0][field] if references else math.nan


def finding(title: str, records: Sequence[Record], others: Sequence[str], *fields: str) -> list[str]:
    """Returns a sentence on rnn_jax's times as multiples of those of the fastest other; none if none took part."""
    others = [name for name in others if select(records, contestant=name)]
    if not others:
        return []
    multiples = {
        " ".join(record[field] for field in fields): max(ratio(record, records, *fields, contestant=o) for o in others)
        for record in select(records, contestant=DEFAULT)
    }
    worst, faster = max(multiples, key=multiples.__getitem__), sum(value < 1 for value in multiples.values())
    return [
        f"{title}: {digits(statistics.geometric_mean(multiples.values()))} times its time (geometric mean of "
        f"{len(multiples)}), faster in {faster}, slower in {len(multiples) - faster}, at worst "
        f"{digits(multiples[worst])} ({worst})."
    ]
