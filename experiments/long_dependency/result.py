"""What is known of an item, while it is trained and after: plain data, as it stands in its file."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np

from experiments.long_dependency.config import Item
from experiments.long_dependency.recipe import Plateau, Published

BEYOND = 0.9  # a loss under this share of the baseline is past it


@dataclasses.dataclass(frozen=True)
class Result:
    """Of all seeds of one item.

    Args:
      task, cell: names of the recipe.
      length, variant, sequence_length, baseline, dependency, metric: of the task.
      batch_size, budget: sequences a step; steps at the most.
      parameters: numbers that are trained.
      published: of the recipe.
      steps: optimization steps after which the test set was looked at.
      curves: metric -> [seeds][looks], over the test set.
      solved: [seeds][looks], whether the task's criterion was met.
      diverged: what happened to each seed that met NaN or infinity, None of the others.
      seconds: of the whole item, compilation and looks at the test set included.
      sequences_per_second: of training, all seeds together; median of the stretches between two looks after the first,
        which compiles.
      finished: whether training has ended.
    """

    task: str
    cell: str
    length: int
    variant: str
    sequence_length: int
    baseline: float
    dependency: int
    metric: str
    batch_size: int
    budget: int
    parameters: int
    published: Published | Plateau | None
    steps: list[int]
    curves: dict[str, list[list[float]]]
    solved: list[list[bool]]
    diverged: list[str | None]
    seconds: float
    sequences_per_second: float
    finished: bool

    @classmethod
    def waiting(cls, item: Item, seeds: int) -> Self:
        """Before anything is done."""
        task, recipe = item.task, item.recipe
        return cls(
            task=recipe.task,
            cell=recipe.cell,
            length=task.length,
            variant=task.variant,
            sequence_length=task.sequence_length,
            baseline=task.baseline,
            dependency=task.dependency,
            metric=task.metric,
            batch_size=recipe.batch_size,
            budget=recipe.steps,
            parameters=0,
            published=recipe.published,
            steps=[],
            curves={},
            solved=[[] for _ in range(seeds)],
            diverged=[None] * seeds,
            seconds=0.0,
            sequences_per_second=math.nan,
            finished=False,
        )

    @classmethod
    def read(cls, fields: Mapping[str, Any], published: Published | Plateau | None) -> Self:
        """Of `report.plain(result)` after JSON; NaN and the infinities are strings there.

        What is published is the recipe's: it may have been corrected since.

        Raises:
          KeyError, TypeError, ValueError: where the fields are not those of a result.
        """
        known = {f.name: fields[f.name] for f in dataclasses.fields(cls)}
        numbers = ("seconds", "sequences_per_second", "baseline")
        curves = {m: [[float(v) for v in curve] for curve in seeds] for m, seeds in known["curves"].items()}
        return cls(**known | {n: float(known[n]) for n in numbers} | {"curves": curves, "published": published})

    @property
    def name(self) -> str:
        return f"{self.task}/{self.length}/{self.cell}"

    @property
    def title(self) -> str:
        """The task, its variant and T."""
        return f"{self.task} ({self.variant}), T = {self.length}"

    @property
    def seeds(self) -> int:
        return len(self.solved)

    def last(self, metric: str) -> np.ndarray:
        """At the last look, [seeds]; NaN before the first."""
        return np.array([curve[-1] if curve else math.nan for curve in self.curves.get(metric, [[]] * self.seeds)])

    @property
    def solved_at(self) -> list[int | None]:
        """Of each seed, the optimization step of the first look that found it solved."""
        return [self.steps[looks.index(True)] if True in looks else None for looks in self.solved]

    @property
    def solving(self) -> int:
        """Seeds that were found solved at some look."""
        return sum(step is not None for step in self.solved_at)

    @property
    def beyond_baseline(self) -> bool:
        """Whether most seeds ended with a loss clearly below that of answering without memory."""
        return float(np.median(self.last("loss"))) < BEYOND * self.baseline

    @property
    def sequences_until_solved(self) -> float:
        """Median over seeds, infinity for those that were never found solved."""
        steps = [math.inf if step is None else step for step in self.solved_at]
        # Of an even number the upper of the two in the middle: half a solved run is none.
        return sorted(steps)[len(steps) // 2] * self.batch_size if steps else math.inf


def ranked(results: Sequence[Result]) -> list[Result]:
    """Best first: by seeds that solve it, sequences until then, and the loss."""

    def rank(result: Result) -> tuple[float, float, float]:
        loss = float(np.median(result.last("loss")))
        return -result.solving, result.sequences_until_solved, math.inf if math.isnan(loss) else loss

    return sorted(results, key=rank)


def by_task(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Under the name of their task, in order."""
    return {task: [r for r in results if r.task == task] for task in dict.fromkeys(r.task for r in results)}


def by_length(results: Sequence[Result]) -> dict[int, list[Result]]:
    """Under their T, rising."""
    return {length: [r for r in results if r.length == length] for length in sorted({r.length for r in results})}
