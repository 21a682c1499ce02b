"""Each detector scored: its threshold from the validation part, everything else from the test part."""

import dataclasses
import time
from typing import Any

import jax
import numpy as np

from experiments.anomaly import detectors, evaluation
from experiments.anomaly.config import Config, Plan
from experiments.anomaly.evaluation import Scores
from experiments.forecasting import fitting
from rnn_jax import training
from rnn_jax.models import Forecaster

ONE_MORE = 1  # of work: what comes after the last optimization step


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """All that a detector gave."""

    name: str
    points: np.ndarray  # [N, copies + 1], the scores of the test part's copies; of a network of its seeds together
    scores: Scores  # likewise
    of_seeds: list[Scores] = dataclasses.field(default_factory=list)
    details: dict[str, Any] = dataclasses.field(default_factory=dict)  # for the record

    @property
    def network(self) -> bool:
        return bool(self.of_seeds)


def opponents(plan: Plan, config: Config) -> list[Outcome]:
    """z-score, residuals of seasonal naive forecasts and of the autoregression, isolation forest."""
    data = plan.data
    found = []
    for name, detector in {
        "z-score": lambda copies: detectors.z_score(data, copies),
        "seasonal naive": lambda copies: detectors.seasonal(data, copies),
        "autoregression": lambda copies: detectors.autoregression(data, copies, plan.width),
        "isolation forest": lambda copies: detectors.isolation_forest(data, copies, config.seed),
    }.items():
        found.append(Outcome(name, *_scored(plan, config, *(detector(plan.copies[part]) for part in _PARTS))))
    return found


def work(plan: Plan, config: Config, model: Forecaster) -> int:
    """Of `measure`, in optimization steps."""
    return fitting.work(plan.data, model, config.batch_size, config.epochs) + ONE_MORE


def measure(
    plan: Plan,
    config: Config,
    name: str,
    model: Forecaster,
    key: jax.Array,
    session: training.Session,
) -> Outcome | None:
    """Trains all seeds of a network on the clean training part and scores; None where it was stopped."""
    began = time.perf_counter()
    fit = fitting.fit(plan.data, config, model, jax.random.split(key, config.seeds), session)
    if fit is None:
        return None
    validation, test = (
        detectors.network(plan.data, model, fit.params, plan.copies[part], plan.width) for part in _PARTS
    )
    found = [_scored(plan, config, *pair) for pair in zip(validation, test, strict=True)]
    session.advance(ONE_MORE)
    details = {
        "definition": model,
        "parameters": sum(leaf[0].size for leaf in jax.tree.leaves(fit.params)),
        "epochs": config.epochs,
        "best_epoch": fit.best.tolist(),
        "validation/loss": fit.scores.min(axis=1).tolist(),
        "diverged": fit.diverged,
        "seconds": time.perf_counter() - began,
    }
    return Outcome(name, *found[-1], [scores for _, scores in found[:-1]], details)


_PARTS = ("validation", "test")


def _scored(plan: Plan, config: Config, validation: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, Scores]:
    """The test part's scores, and what they are worth."""
    observed = plan.data.series.observed
    normal = [plan.copies[part].normal(observed, plan.grace) for part in _PARTS]
    threshold = evaluation.threshold_of(validation, normal[0], config.false_alarms)
    return test, evaluation.evaluate(test, plan.copies["test"], normal[1], observed, threshold)
