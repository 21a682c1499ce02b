"""What a part of the benchmark is, the flags that parts read, and how their findings compare times."""

import dataclasses
import math
import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.common import tables
from experiments.common.flags import ComputeConfig, Need, UserError, given, setting
from experiments.common.run_folder import Table
from experiments.common.tables import Record, Records, digits, select
from experiments.peers.programs import Prepare
from experiments.throughput.contestants import DEFAULT
from experiments.throughput.problem import CELLS, DTYPES, SHAPES, TASKS, Problem
from rnn_jax import engines, targets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Contestants = Mapping[str, Prepare]


def _part(*names: str) -> Need:
    reason = f"without --parts={' or '.join(names)}"
    return Need(lambda options: bool(options.compile_for or {*names} & {*options.parts}), reason)


@dataclasses.dataclass(frozen=True)
class Options(ComputeConfig):
    """Flags that parts read."""

    cells: tuple[str, ...] = setting(
        CELLS,
        f"Comma list of {', '.join(CELLS)}; for those in layers, compilation, recipes, floor; any for --compile_for.",
        needs=_part("layers", "compilation", "recipes", "floor"),
    )
    shapes: tuple[str, ...] = setting(
        SHAPES, "Comma list of BATCHxSTEPSxINPUTSxHIDDEN; for layers and floor.", needs=_part("layers", "floor")
    )
    tasks: tuple[str, ...] = setting(
        tuple(TASKS), f"Comma list of {', '.join(TASKS)}; for recipes.", choices=[*TASKS], needs=_part("recipes")
    )
    longest: int = setting(
        10_000,
        "Steps of the longest sequence, where T varies: from 100.",
        least=100,
        needs=_part("lengths", "training", "recipes", "memory", "growth"),
    )
    dtype: str = setting(
        "float32",
        f"One of {', '.join(DTYPES)}; for layers and lengths.",
        choices=DTYPES,
        needs=_part("layers", "lengths"),
    )
    repeats: int = setting(5, "Rounds of a comparison, at least.")
    seconds: float = setting(8.0, "Time in which a comparison may make more rounds.", least=0)
    compile_for: tuple[str, ...] | None = setting(
        None,
        f"Comma list of {', '.join(targets.TARGETS)}: compiles for devices that are not here; times nothing.",
        choices=tuple(targets.TARGETS),
        replaces=("parts", "tasks", "longest", "repeats", "seconds"),
    )
    engines: tuple[str, ...] | None = setting(
        None,
        f"Comma list of {', '.join(engines.ENGINES)}, for --compile_for; by default all that take the cell.",
        choices=tuple(engines.ENGINES),
        needs=given("compile_for"),
    )

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
    """A part of the benchmark: what it measures, and how its records are shown (see `tables.pivot`)."""

    cases: Callable[[Any], Mapping[str, Any]]  # comparisons, by the title shown while one runs
    measure: Callable[[Any, Contestants, Any], Records]  # of the options, the libraries and a case
    title: str  # template of the title of a table's section, filled with a record; each title makes a section
    columns: Mapping[str, Any]  # each combination of the text columns is a row
    caption: str = ""  # template of the text below the table, filled with each field's largest value
    by: str = ""
    figure: Callable[[Records], "Figure"] | None = None
    findings: Callable[[Records], list[str]] = lambda _: []  # sentences

    def table(self, records: Records) -> Table:
        """Returns the table of this part's records."""
        given = {field for record in records for field, value in record.items() if value is not None}
        most = {field: max(r[field] for r in records if r.get(field) is not None) for field in given}
        caption = self.caption.format(**most)
        if rounds := [record["rounds"] for record in records if "rounds" in record]:
            counts = dict.fromkeys([min(rounds), max(rounds)])
            caption += f" Medians of {' to '.join(map(str, counts))} rounds."
        rows = [spec for spec in self.columns.values() if isinstance(spec, str)]
        return tables.pivot(records, self.title.format_map, rows, self.columns, caption, self.by)


def ratio(record: Record, records: Records, *fields: str, field: str = "median_ms", **reference: Any) -> float:
    """Returns a time as a multiple of the reference's, which is equal in `fields` and has the values `reference`.

    NaN if there is no reference.
    """
    references = select(records, **{name: record[name] for name in fields}, **reference)
    return record[field] / references[0][field] if references else math.nan


def finding(title: str, records: Records, others: Sequence[str], *fields: str) -> list[str]:
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
