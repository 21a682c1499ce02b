"""The result of an item, during training and after it: plain data, as in its file."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from experiments.long_dependency.config import Item
from experiments.long_dependency.recipe import Plateau, Published

TASK_FIELDS = ("length", "variant", "sequence_length", "baseline", "dependency", "metric")
NUMBERS = ("seconds", "sequences_per_second", "baseline")  # fields that may be strings in a file
BEYOND = 0.9  # share of the baseline below which a loss is past it


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of all seeds of one item."""

    task: str  # name in the recipe
    cell: str  # likewise
    length: int
    variant: str  # of the task, like the four below
    sequence_length: int
    baseline: float
    dependency: int
    metric: str
    batch_size: int
    budget: int  # optimization steps at most
    published: Published | Plateau | None
    solved: list[list[bool]]  # [seeds][evaluations], whether the task's criterion was met
    diverged: list[str | None]  # message on each seed that met NaN or infinity
    parameters: int = 0
    steps: list[int] = dataclasses.field(default_factory=list)  # optimization steps of the evaluations
    curves: dict[str, list[list[float]]] = dataclasses.field(default_factory=dict)  # metric -> [seeds][evaluations]
    seconds: float = 0.0  # of the whole item, including compilation and evaluations
    sequences_per_second: float = math.nan  # of all seeds; median of the chunks after the first, which compiles
    finished: bool = False
    # With equal terms: the rate chosen, `moments.measure_memory` by name [seeds], and a step's time over an LSTM's.
    learning_rate: float | None = None
    before: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    after: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    step_time: float | None = None

    @classmethod
    def waiting(cls, item: Item, seeds: int) -> Self:
        """Returns the result before training."""
        task, recipe = item.task, item.recipe
        return cls(
            task=recipe.task,
            cell=recipe.cell,
            **{name: getattr(task, name) for name in TASK_FIELDS},
            batch_size=recipe.batch_size,
            budget=recipe.steps,
            published=recipe.published,
            solved=[[] for _ in range(seeds)],
            diverged=[None] * seeds,
        )

    @classmethod
    def read(cls, fields: Mapping[str, Any], published: Published | Plateau | None) -> Self:
        """Returns the result in the fields of a JSON file, in which NaN and infinities are strings.

        The published number is the recipe's: it may have been corrected since the file was written.

        Raises:
          KeyError, TypeError, ValueError: if the fields are not those of a result.
        """
        known = {f.name: fields[f.name] for f in dataclasses.fields(cls) if f.name in fields}
        numbers = {name: float(known[name]) for name in NUMBERS}
        curves = {m: [[float(v) for v in curve] for curve in seeds] for m, seeds in known["curves"].items()}
        memory = {
            moment: {name: [float(v) for v in seeds] for name, seeds in known.get(moment, {}).items()}
            for moment in ("before", "after")
        }
        return cls(**known | numbers | memory | {"curves": curves, "published": published})

    def of_seed(self, seed: int) -> "Result":
        """Returns the result of one seed alone."""
        curves = {metric: [seeds[seed]] for metric, seeds in self.curves.items()}
        return dataclasses.replace(self, solved=[self.solved[seed]], diverged=[self.diverged[seed]], curves=curves)

    @property
    def name(self) -> str:
        return f"{self.task}/{self.length}/{self.cell}"

    @property
    def title(self) -> str:
        """Task, variant and T."""
        return f"{self.task} ({self.variant}), T = {self.length}"

    @property
    def seeds(self) -> int:
        return len(self.solved)

    def last(self, metric: str) -> np.ndarray:
        """Returns the metric at the last evaluation [seeds]; NaN before the first."""
        return np.array([curve[-1] if curve else math.nan for curve in self.curves.get(metric, [[]] * self.seeds)])

    @property
    def solved_at(self) -> list[int | None]:
        """Optimization step of the first evaluation at which each seed had solved the task."""
        return [self.steps[flags.index(True)] if True in flags else None for flags in self.solved]

    @property
    def solving(self) -> int:
        """Number of seeds that had solved the task at some evaluation."""
        return sum(step is not None for step in self.solved_at)

    @property
    def beyond_baseline(self) -> bool:
        """Whether the median final loss is clearly below that of the best answer without memory."""
        return float(np.median(self.last("loss"))) < BEYOND * self.baseline

    @property
    def sequences_until_solved(self) -> float:
        """Median over seeds; infinity for seeds that never solved the task."""
        steps = [math.inf if step is None else step for step in self.solved_at]
        # The upper of two middle values: half a solved run does not exist.
        return sorted(steps)[len(steps) // 2] * self.batch_size if steps else math.inf


def quality(result: Result) -> tuple[float, float, float]:
    """Returns what results are ranked by, less is better: seeds not solving, sequences until solved, and loss."""
    loss = float(np.median(result.last("loss")))
    return -result.solving, result.sequences_until_solved, math.inf if math.isnan(loss) else loss


def ranked(results: Sequence[Result]) -> list[Result]:
    """Returns the results, best first."""
    return sorted(results, key=quality)


def by_task(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Returns the results by the name of their task, in order."""
    return {task: [r for r in results if r.task == task] for task in dict.fromkeys(r.task for r in results)}


def by_length(results: Sequence[Result]) -> dict[int, list[Result]]:
    """Returns the results by T, ascending."""
    return {length: [r for r in results if r.length == length] for length in sorted({r.length for r in results})}
