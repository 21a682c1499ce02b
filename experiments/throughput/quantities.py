"""What the records come to: the few numbers that tables, words and figures share."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from experiments.throughput import floor
from experiments.throughput.job import Record
from experiments.throughput.peers import JAX_LIBRARIES, REFERENCE, ours

Place = tuple[str, str]  # cell and shape


def select(records: Sequence[Record], **fields: Any) -> list[Record]:
    """The records that have all of these values."""
    return [record for record in records if all(record.get(name) == value for name, value in fields.items())]


def values(records: Iterable[Record], field: str) -> list[Any]:
    """The values of a field, each once, in order."""
    return list(dict.fromkeys(record[field] for record in records if field in record))


def times(records: Sequence[Record], **fields: Any) -> dict[Place, dict[str, float]]:
    """Median ms of each contestant at each cell and shape."""
    found: dict[Place, dict[str, float]] = {}
    for record in select(records, **fields):
        found.setdefault((record["cell"], record["shape"]), {})[record["contestant"]] = record["median_ms"]
    return found


def reference(records: Sequence[Record]) -> str:
    """Whose time is one: PyTorch's where it took part, else our `Scan`'s."""
    return REFERENCE if REFERENCE in values(records, "contestant") else ours.SCAN.name


def ratios(of_contestants: dict[Place, dict[str, float]], name: str, to: str) -> dict[Place, float]:
    """Time of `name` as a multiple of that of `to`, wherever both took part."""
    return {p: ms[name] / ms[to] for p, ms in of_contestants.items() if name in ms and to in ms}


def ratios_to_best_jax_library(of_contestants: dict[Place, dict[str, float]]) -> dict[Place, float]:
    """Our time as a multiple of the least of the other JAX libraries', other functions included."""
    found = {}
    for place, ms in of_contestants.items():
        others = [ms[name] for name in JAX_LIBRARIES if name in ms]
        if others and ours.DEFAULT in ms:
            found[place] = ms[ours.DEFAULT] / min(others)
    return found


def recipe_ratios(records: Sequence[Record]) -> dict[str, float]:
    """Our time for a task's trainings as a multiple of PyTorch's, where it took part."""
    found: dict[str, dict[str, float]] = {}
    for record in select(records, part="recipes"):
        found.setdefault(record["task"], {})[record["contestant"]] = record["median_ms"]
    return {task: ms[ours.DEFAULT] / ms[REFERENCE] for task, ms in found.items() if REFERENCE in ms}


def floor_shares(records: Sequence[Record]) -> dict[Place, float]:
    """The floor's time as a share of our time."""
    return ratios(times(records, part="floor"), floor.FLOOR, ours.DEFAULT)


def geometric_mean(numbers: Iterable[float]) -> float:
    """Exp of the mean of the logarithms."""
    logarithms = [math.log(number) for number in numbers]
    return math.exp(sum(logarithms) / len(logarithms))


def number(value: float) -> str:
    """Three digits; no exponent where none is needed."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
