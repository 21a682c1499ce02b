"""What is scored: the opponents, and each network's seeds, alone and together."""

import dataclasses
import time
from typing import Any

import jax
import numpy as np

from experiments.forecasting import baselines, fitting
from experiments.forecasting.config import Config, Data
from experiments.forecasting.rolling import Predicted, Scores, scores
from rnn_jax import training
from rnn_jax.models import Forecaster

AUTOREGRESSION = "autoregression"
ONE_MORE = 1  # of work: what comes after the last optimization step


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """All that a model gave on the test part."""

    name: str
    predicted: Predicted  # of the seeds together, where there are some
    scores: Scores
    of_seeds: list[Scores] = dataclasses.field(default_factory=list)  # none of a model that draws no random number
    details: dict[str, Any] = dataclasses.field(default_factory=dict)  # for the record
    validation: np.ndarray | None = None  # [seeds, epochs], losses

    @property
    def network(self) -> bool:
        return bool(self.of_seeds)


def opponents(data: Data, config: Config) -> list[Outcome]:
    """Persistence, seasonal naive forecasts, the autoregression."""
    origins, values = data.origins("test"), data.series.values
    model = data.autoregression
    rng = np.random.default_rng(config.seed)
    found = {
        "persistence": baselines.persistence(values, origins),
        "seasonal naive": baselines.seasonal(values, origins, data.season),
        AUTOREGRESSION: model.predict(values, data.z, origins, rng, config.paths * config.seeds),
    }
    details = {AUTOREGRESSION: {"order": model.order, "parameters": model.order + 1, "validation/mae": data.chosen}}
    return [
        Outcome(name, predicted, scores(predicted, origins, data.unit), details=details.get(name, {}))
        for name, predicted in found.items()
    ]


def work(data: Data, config: Config, model: Forecaster) -> int:
    """Of `measure`, in optimization steps."""
    return fitting.work(data, model, config.batch_size, config.epochs) + ONE_MORE


def measure(
    data: Data,
    config: Config,
    name: str,
    model: Forecaster,
    key: jax.Array,
    session: training.Session,
) -> Outcome | None:
    """Trains all seeds of a network and forecasts the test part; None where it was stopped."""
    key_seeds, key_paths = jax.random.split(key)
    began = time.perf_counter()
    fit = fitting.fit(data, config, model, jax.random.split(key_seeds, config.seeds), session)
    if fit is None:
        return None
    origins = data.origins("test")
    found = fitting.forecast(data, model, fit.params, origins, key_paths, config.paths)
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
    of_seeds = [scores(each, origins, data.unit) for each in found.seeds]
    return Outcome(name, found.ensemble, scores(found.ensemble, origins, data.unit), of_seeds, details, fit.scores)
