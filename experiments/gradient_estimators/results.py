"""What has been found so far, and the numbers that table, figures and words share."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from experiments.gradient_estimators.config import Config, Problem
from experiments.gradient_estimators.cost import Cost
from experiments.gradient_estimators.quality import Outcome, Quality


@dataclasses.dataclass
class Results:
    """Grows as jobs end."""

    config: Config
    problems: list[Problem]
    costs: list[Cost] = dataclasses.field(default_factory=list)
    quality: dict[tuple[str, str], Outcome] = dataclasses.field(default_factory=dict)  # by task and cell
    losses: dict[tuple[str, str, str], np.ndarray] = dataclasses.field(default_factory=dict)  # by estimator as well

    def add(self, problem: Problem, estimator: str, outcome: Outcome | np.ndarray) -> None:
        """Of a job that has ended."""
        of = problem.task_name, problem.cell_name
        if isinstance(outcome, Outcome):
            self.quality[of] = outcome
            self.losses[(*of, estimator)] = outcome.loss
        else:
            self.losses[(*of, estimator)] = outcome

    def qualities(self) -> Iterator[tuple[tuple[str, str], str, str, Quality]]:
        """(task, cell), moment, estimator, quality."""
        for of, outcome in self.quality.items():
            for moment in ("before", "after"):
                for name, found in getattr(outcome, moment).items():
                    yield of, moment, name, found

    @property
    def baselines(self) -> dict[str, float]:
        """Of each task."""
        return {p.task_name: p.task.baseline for p in self.problems}

    def estimators(self, cell_name: str) -> list[str]:
        """Their names, in order."""
        return list(next(p for p in self.problems if p.cell_name == cell_name).estimators(self.config))

    def cost(self, cell_name: str, estimator: str) -> list[Cost]:
        """Over rising T."""
        return [c for c in self.costs if (c.cell_name, c.estimator) == (cell_name, estimator)]


def final_loss(losses: np.ndarray) -> np.ndarray:
    """[seeds]: the mean over the last tenth of the steps; infinite where it is NaN."""
    tail = np.mean(losses[:, -max(1, losses.shape[1] // 10) :], axis=1)
    return np.where(np.isnan(tail), np.inf, tail)


def short(cell_name: str) -> str:
    """Of module:Class the class."""
    return cell_name.rpartition(":")[2]
