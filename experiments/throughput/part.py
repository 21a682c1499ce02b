"""What a part of the benchmark is, the flags that parts read, and what their tables, figures and findings share."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from experiments.common.flags import setting
from experiments.common.numbers import number
from experiments.common.run_folder import Table
from experiments.throughput.peers.contestant import Contestant
from experiments.throughput.problem import CELLS, DTYPES, SHAPES, TASKS, Shape
from rnn_jax import plotting
from rnn_jax.report import Column

Record = dict[str, Any]  # flat
Jobs = dict[str, Callable[[], list[Record]]]  # comparisons by the title shown while they run


@dataclasses.dataclass(frozen=True)
class Options:
    """Flags that parts read."""

    cells: tuple[str, ...] = setting(
        CELLS, f"Comma list of {', '.join(CELLS)}; for layers, recipes and floor.", choices=CELLS
    )
    shapes: tuple[str, ...] = setting(SHAPES, "Comma list of BATCHxSTEPSxINPUTSxHIDDEN; for layers and floor.")
    tasks: tuple[str, ...] = setting(tuple(TASKS), f"Comma list of {', '.join(TASKS)}; for recipes.", choices=[*TASKS])
    longest: int = setting(10_000, "Steps of the longest sequence in a sweep over T; sweeps start with 100.", least=100)
    dtype: str = setting("float32", f"One of {', '.join(DTYPES)}; for layers and lengths.", choices=DTYPES)
    repeats: int = setting(5, "Rounds of a comparison, at least.")
    seconds: float = setting(8.0, "Time in which a comparison may make more rounds.", least=0)
    seed: int = setting(0, "Seed from which every random number follows.", checked=False)

    def problem_shapes(self) -> list[Shape]:
        return [Shape.parse(text) for text in self.shapes]

    def lengths(self, *steps: int) -> list[int]:
        """Returns the lengths of a sweep over T that `longest` allows."""
        return [length for length in steps if length <= self.longest]


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of the benchmark; its functions get the records of this part alone."""

    name: str  # in --parts, in records and of the figure's file
    jobs: Callable[[Options, Sequence[Contestant]], Jobs]  # of the flags and the installed libraries
    table: Callable[[Sequence[Record]], Table]
    figure: Callable[[Sequence[Record]], Figure] | None = None
    findings: Callable[[Sequence[Record]], list[str]] = lambda _: []  # sentences


def select(records: Iterable[Record], **fields: Any) -> list[Record]:
    """Returns the records that have all of these values."""
    return [record for record in records if all(record.get(name) == value for name, value in fields.items())]


def values(records: Iterable[Record], field: str) -> list[Any]:
    """Returns the distinct values of a field, in order."""
    return list(dict.fromkeys(record[field] for record in records))


def ratios(
    records: Iterable[Record], *fields: str, field: str = "median_ms", **reference: Any
) -> Callable[[Record], float]:
    """Returns a function of a record: its time as a multiple of the reference's, NaN if there is none.

    Args:
      records: records of one part.
      *fields: fields in which a record and its reference are equal.
      field: field with the time.
      **reference: values that a record has if it is a reference.
    """
    times = {tuple(r[name] for name in fields): r[field] for r in select(records, **reference)}
    return lambda record: record[field] / times.get(tuple(record[name] for name in fields), math.nan)


def table(records: Sequence[Record], title: str, columns: Mapping[str, Any], caption: str, by: str = "") -> Table:
    """Returns a table of records.

    Args:
      records: records of one part.
      title: template of a section's title, filled with a record; each title makes a section.
      columns: by header, a field as text, (field, scale) as a number, or a function of a record. Each combination of
        the text columns is a row. A header with {} makes a column for each value of field `by`.
      caption: text below the table.
      by: field in which the records of a row differ.
    """
    keys = [spec for spec in columns.values() if isinstance(spec, str)]
    sections: dict[str, dict[Any, dict[Any, Record]]] = {}
    for record in records:
        rows = sections.setdefault(title.format(**record), {})
        rows.setdefault(tuple(record[key] for key in keys), {})[record.get(by)] = record

    def column(header: str, spec: Any, value: Any = None) -> Column:
        def text(row: dict[Any, Record]) -> str:
            record = next(iter(row.values())) if value is None else row[value]
            if isinstance(spec, tuple):
                return "-" if record[spec[0]] is None else number(record[spec[0]] * spec[1], 3)
            return str(record[spec]) if isinstance(spec, str) else spec(record)

        return Column(header.format(value), text, right=not isinstance(spec, str))

    shown = [
        column(header, spec, value)
        for header, spec in columns.items()
        for value in (values(records, by) if "{}" in header else [None])
    ]
    if rounds := sorted({record["rounds"] for record in records if "rounds" in record}):
        caption += f" Medians of {rounds[0]}{f' to {rounds[-1]}' if rounds[1:] else ''} rounds."
    return Table(shown, {title: list(rows.values()) for title, rows in sections.items()}, caption)


def against(records: Iterable[Record], name: str, others: Sequence[str], *fields: str) -> dict[str, float]:
    """Returns the time of contestant `name` as a multiple of the fastest other's, by the values of `fields`.

    Empty if none of the others took part.
    """
    present = [other for other in others if select(records, contestant=other)]
    functions = [ratios(records, *fields, contestant=other) for other in present]
    return {
        " ".join(str(record[field]) for field in fields): max(ratio(record) for ratio in functions)
        for record in select(records, contestant=name)
        if functions
    }


def won_and_lost(title: str, multiples: Mapping[str, float]) -> list[str]:
    """Returns a sentence with the geometric mean of multiples of another's time; none without multiples."""
    if not multiples:
        return []
    mean = math.exp(sum(map(math.log, multiples.values())) / len(multiples))
    worst, faster = max(multiples, key=multiples.__getitem__), sum(value < 1 for value in multiples.values())
    return [
        f"{title}: {number(mean, 3)} times its time (geometric mean of {len(multiples)}), faster in {faster}, slower "
        f"in {len(multiples) - faster}, at worst {number(multiples[worst], 3)} ({worst})."
    ]


def curve_figure(
    panels: Mapping[str, Sequence[Record]], by: str, y: str, title: str, ylabel: str, scale: float = 1, log: bool = True
) -> Figure:
    """Draws field `y` times `scale`: one panel for each field on the x-axis, one line for each value of field `by`."""
    figure = plotting.figure((1 + 6.5 * len(panels), 4.8))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (x, records) in zip(axes, panels.items(), strict=True):
        for marker, name in zip("osv^DPX*", values(records, by), strict=False):
            line = select(records, **{by: name})
            axis.plot([r[x] for r in line], [r[y] * scale for r in line], marker=marker, label=name)
        axis.set(xlabel="T (steps)" if x == "steps" else x, xscale="log", yscale="log" if log else "linear")
        axis.set_xticks(values(records, x), [str(value) for value in values(records, x)], minor=False)
        axis.set_ylim(bottom=None if log else 0)
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel(ylabel)
    axes[0].legend(frameon=False)
    figure.suptitle(title.format(**records[0]))
    return figure
